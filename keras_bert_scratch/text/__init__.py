"""Text to ids: vocabulary, tokenizer, packing; every step also inside a TensorFlow graph."""
