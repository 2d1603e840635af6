"""Functional Keras models made of the layers; any Keras backend runs them."""
