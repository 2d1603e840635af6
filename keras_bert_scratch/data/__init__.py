"""From corpora to TFRecord files to batches."""
