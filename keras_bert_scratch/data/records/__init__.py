"""Records: documents as token ids in TFRecord shards, their manifest, and building them from a corpus."""
