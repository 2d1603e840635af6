"""Seeds for building a model that leave the caller's own random numbers alone."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
from tensorflow.python.eager import context


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, the global generators of Python, NumPy, Keras and TensorFlow start from `seed`.

    After it they go on as if the block had drawn nothing: Keras layers take the seeds of their weights from Python's
    generator, so building a model would change the numbers that the caller draws next. One thing cannot be brought
    back: the counters of TensorFlow's stateful operations, which start anew with every new global seed.

    Args:
        seed: int, from 0 to 2**32 - 1, as NumPy takes them.

    Example:
        >>> with seeded(7):
        ...     first = random.random()
        >>> with seeded(7):
        ...     random.random() == first
        True
    """
    python, numpy_state = random.getstate(), np.random.get_state()
    names = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
    keras_state = {name: global_state.get_global_attribute(name) for name in names}
    # TensorFlow has no public way to ask for its seed. A new seed makes a new generator: keeping the old one is enough.
    tensorflow = context.context()
    tensorflow_state = tensorflow._seed, getattr(tensorflow, "_rng", None)
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        tensorflow._seed, tensorflow._rng = tensorflow_state
        for name, value in keras_state.items():
            global_state.set_global_attribute(name, value)
        np.random.set_state(numpy_state)
        random.setstate(python)
