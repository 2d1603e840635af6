"""Models that answer about raw text, for any program that loads a SavedModel."""
