"""The network's parts, one class per file, on `keras.ops` alone: any Keras backend runs them."""
