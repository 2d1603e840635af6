"""Attention that people can look at: the weights of a text, a page and a picture of them."""
