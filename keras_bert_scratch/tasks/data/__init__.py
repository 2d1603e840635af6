"""What downstream tasks read: tables of texts and labels, and the order in which batches take their rows."""
