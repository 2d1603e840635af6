"""Google's schema of pretraining examples: written from documents, and read from whoever made them."""
