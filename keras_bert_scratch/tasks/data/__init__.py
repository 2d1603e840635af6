"""Readers of labelled data, and the batches made of them."""
