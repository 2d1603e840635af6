"""Input of downstream tasks: readers for tables of texts and labels, and the batching of their rows."""
