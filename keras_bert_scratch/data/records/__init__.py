"""Records: ids of documents in TFRecord shards, their manifest, and building them from a corpus."""
