"""The highest values, against TensorFlow's own."""

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_scratch.tasks.data.top_k import BLOCK, top_k


@pytest.mark.parametrize("k", [1, 3, 8])
@pytest.mark.parametrize("size", [5 * BLOCK, 32 * BLOCK, 32 * BLOCK + 1, 50 * BLOCK - 1])
@pytest.mark.parametrize("of", [4, 100_000])
def test_values_and_places_are_those_of_tensorflow(k, size, of):
    """With few different values many are equal; of equal values the first counts."""
    rng = np.random.default_rng(size)
    values = rng.integers(0, of, (2, 3, size)).astype(np.float32)
    values[0, 1, rng.permutation(size)[2:]] = -np.inf
    found = tf.function(lambda values: top_k(values, k))(tf.constant(values))
    for ours, expected in zip(found, tf.math.top_k(values, k), strict=True):
        np.testing.assert_array_equal(ours, expected)
