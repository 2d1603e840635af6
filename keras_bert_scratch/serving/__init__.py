"""Models that predict from raw text, for any program that loads a SavedModel."""
