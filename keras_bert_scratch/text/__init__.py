"""Text to token ids: vocabulary, tokenizer, packing; every step also runs inside a TensorFlow graph."""
