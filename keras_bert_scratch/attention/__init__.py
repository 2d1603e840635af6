"""Attention made visible: the weights of a text, and a page and a figure of them."""
