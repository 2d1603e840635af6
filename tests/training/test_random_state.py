"""Seeds for a model: the same random numbers every time, without an effect on the caller's random state."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_bert_scratch.training.random_state import seeded


def drawn() -> list[float]:
    """A number from every global generator."""
    return [
        random.random(),
        float(np.random.rand()),
        float(keras.random.uniform([])),
        float(tf.random.uniform([])),
        float(keras.layers.Dense(1, kernel_initializer="glorot_uniform")(np.ones([1, 1]))[0, 0]),
    ]


def test_a_block_draws_as_after_setting_the_seed():
    keras.utils.set_random_seed(5)
    expected = drawn()
    with seeded(5):
        assert drawn() == expected
    with seeded(6):
        assert all(one != other for one, other in zip(drawn(), expected, strict=True))


@pytest.mark.parametrize("fails", [False, True])
def test_the_callers_numbers_go_on_as_if_nothing_were_drawn(fails):
    keras.utils.set_random_seed(9)
    expected = [drawn(), drawn()]
    keras.utils.set_random_seed(9)
    first = drawn()
    try:
        with seeded(5):
            drawn()
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert [first, drawn()] == expected
