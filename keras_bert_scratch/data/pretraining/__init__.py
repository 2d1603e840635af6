"""Records in, pretraining batches out: pairs, packing and masks, made when they are read."""
