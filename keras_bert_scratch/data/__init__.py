"""Corpora to TFRecords to batches."""
