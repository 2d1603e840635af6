"""A text's vector: against the formulas in numpy, and without an effect of padding."""

import numpy as np
import pytest

from keras_bert_scratch.layers.text_pooling import pool_tokens, unit_length

LENGTHS = np.array([4, 1, 3])
MASK = (np.arange(4) < LENGTHS[:, None]).astype("int32")
# Only negative numbers, so that padding with 0 would be the maximum if it counted.
X = -1.0 - np.random.default_rng(0).random((3, 4, 5)).astype("float32")
FORMULAS = {
    "mean": lambda tokens: tokens.mean(0),
    "max": lambda tokens: tokens.max(0),
    "cls": lambda tokens: tokens[0],
}


@pytest.mark.parametrize("pooling", FORMULAS)
@pytest.mark.parametrize("padding", [0.0, 1e6, -1e6, np.inf])
@pytest.mark.parametrize("kind", ["int32", "bool", "float32"])
def test_only_tokens_count(pooling, padding, kind):
    x = np.where(MASK[..., None] > 0, X, padding).astype("float32")
    expected = [FORMULAS[pooling](row[:length]) for row, length in zip(X, LENGTHS, strict=True)]
    np.testing.assert_allclose(pool_tokens(x, MASK.astype(kind), pooling), expected, rtol=1e-6)


@pytest.mark.parametrize("pooling", [*FORMULAS, "none"])
def test_sums_are_of_float32_whatever_the_network_gives(pooling):
    pooled = np.asarray(pool_tokens(X.astype("float16"), MASK, pooling))
    assert pooled.dtype == np.float32
    expected = np.asarray(pool_tokens(X.astype("float16").astype("float32"), MASK, pooling))
    np.testing.assert_array_equal(pooled, expected)


@pytest.mark.parametrize("pooling", FORMULAS)
def test_a_row_of_padding_alone_is_finite(pooling):
    assert np.isfinite(unit_length(pool_tokens(X, 0 * MASK, pooling))).all()


def test_lengths_are_one():
    vectors = np.array([[3.0, 4.0], [1e-6, 0.0], [1e9, -1e9], [0.0, 0.0]], "float32")
    lengths = np.linalg.norm(np.asarray(unit_length(vectors)), axis=-1)
    np.testing.assert_allclose(lengths, [1.0, 1.0, 1.0, 0.0], rtol=1e-6)
