"""Where values are dropped, and that each layer and each draw drops different values."""

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.dropout import Dropout, dropout_seed_scope


def test_layers_and_draws_drop_different_values(small):
    backbone = kbs.BertBackbone(small)
    layers = [layer for layer in backbone._flatten_layers() if isinstance(layer, Dropout)]
    dropped = []
    for number in (0, 1, 1000):
        with dropout_seed_scope(number):
            dropped += [tuple(np.asarray(layer(np.ones(200, "float32"), training=True)) == 0) for layer in layers]
    assert len(layers) == 4
    assert len(set(dropped)) == 12


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_every_dtype_drops_what_float32_drops(rate, dtype):
    """Of uniform numbers in bfloat16, 1.6% are below 0.01."""
    layer, other = Dropout(rate, dtype="float32"), Dropout(rate, dtype=dtype)
    other.seed_generator.state.assign(layer.seed_generator.state)
    x = np.random.default_rng(0).uniform(1, 2, 200_000).astype("float32")
    with dropout_seed_scope(7):
        expected, found = (np.asarray(each(x, training=True)).astype("float32") for each in (layer, other))
    np.testing.assert_array_equal(found == 0, expected == 0)
    assert np.mean(found == 0) == pytest.approx(rate, rel=0.1)
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=1e-3)


def test_values_are_dropped_in_all_layers(small):
    """A tenth of embeddings, attention weights and each sub-layer's output (Devlin et al. 2019, appendix A.2)."""
    backbone = kbs.BertBackbone(small)
    [block] = backbone.encoder_blocks
    layers = (
        backbone.embeddings.dropout,
        block.attention.dropout,
        block.attention_dropout,
        block.feed_forward_dropout,
    )
    assert {layer.rate for layer in layers} == {0.1}
    for layer in layers:
        layer.rate = 0.0
    ones = np.ones((2, 9), "int32")
    inputs = {"token_ids": 7 * ones, "segment_ids": 0 * ones, "padding_mask": ones}
    whole = np.asarray(backbone(inputs)["sequence_output"])
    np.testing.assert_array_equal(backbone(inputs, training=True)["sequence_output"], whole)
    for number, layer in enumerate(layers):
        layer.rate = 0.5
        dropped = np.asarray(backbone(inputs, training=True)["sequence_output"])
        assert np.abs(dropped - whole).max() > 1e-4, number
        layer.rate = 0.0
