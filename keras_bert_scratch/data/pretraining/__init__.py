"""From records to pretraining batches: pairs, packing and masks, computed when records are read."""
