"""Google's schema of pretraining examples: writing them from documents, and reading them from any program's files."""
