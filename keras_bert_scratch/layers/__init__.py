"""The network's layers, built on `keras.ops` alone, so that they run on any Keras backend."""
