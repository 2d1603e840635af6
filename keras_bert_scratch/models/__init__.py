"""Functional Keras models built from the layers; they run on any Keras backend."""
