"""What is dropped is another each time: in each layer and in each draw."""

import numpy as np

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.dropout import Dropout, dropout_draws


def test_layers_and_draws_drop_different_values(small):
    backbone = kbs.BertBackbone(small)
    layers = [layer for layer in backbone._flatten_layers() if isinstance(layer, Dropout)]
    dropped = []
    for number in (0, 1, 1000):
        with dropout_draws(number):
            dropped += [tuple(np.asarray(layer(np.ones(200, "float32"), training=True)) == 0) for layer in layers]
    assert len(layers) == 4
    assert len(set(dropped)) == 12
