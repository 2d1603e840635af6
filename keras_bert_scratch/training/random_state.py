"""Seeds for building a model, without an effect on the caller's own random numbers."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, the global generators of Python, NumPy, Keras and TensorFlow start from `seed`.

    After it they continue as if the block had drawn nothing. (Keras layers take the seeds of their weights from
    Python's generator, so building a model would otherwise change the numbers that the caller draws next.) One thing
    cannot be restored: the counters of TensorFlow's stateful operations, which restart with every new global seed.

    Args:
        seed: int, from 0 to 2**32 - 1, the range that NumPy accepts.

    Raises:
        UserError: this version of Keras or TensorFlow keeps its seeds elsewhere; nothing has been seeded.

    Example:
        >>> with seeded(7):
        ...     first = random.random()
        >>> with seeded(7):
        ...     random.random() == first
        True
    """
    restore_generators = _save_generators()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        restore_generators()


def _save_generators() -> Callable[[], None]:
    """Returns a function that resets all global generators to their current state.

    Neither Keras nor TensorFlow has a public way to read its seed; `tests/test_private_names.py` lists the names.
    """
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        from keras.src.backend.common import global_state
        from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR
        from keras.src.utils.rng_utils import GLOBAL_RANDOM_SEED
        from tensorflow.python.eager import context

        names = (GLOBAL_RANDOM_SEED, GLOBAL_SEED_GENERATOR)
        keras_state = {name: global_state.get_global_attribute(name) for name in names}
        tensorflow, set_keras = context.context(), global_state.set_global_attribute
        # A new seed creates a new generator, so keeping the old one is enough. Without a seed there is none.
        tensorflow_state = tensorflow._seed, tensorflow._rng if tensorflow._seed is not None else None
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"keras {keras.__version__}, tensorflow {tf.__version__}: store seeds differently from the versions in "
            f"constraints.txt ({error}); install those"
        ) from error

    def restore_generators() -> None:
        tensorflow._seed, tensorflow._rng = tensorflow_state
        for name, value in keras_state.items():
            set_keras(name, value)
        np.random.set_state(numpy_state)
        random.setstate(python)

    return restore_generators
