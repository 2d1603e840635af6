"""Dropout: while training, zero a share of the activations and scale up the rest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

_thread = threading.local()  # replicas are traced side by side, each in a thread


@contextlib.contextmanager
def dropout_draws(number: Any) -> Iterator[None]:
    """Within it, what is dropped is a function of the layer's seed and of `number` alone.

    So a step that is made again, by a resumed run or for want of memory, drops the same, and replicas with numbers of
    their own drop different places.

    Args:
        number: int scalar, another one for every forward pass.

    Example:
        >>> dropout, ones = Dropout(0.5), ops.ones((100,))
        >>> with dropout_draws(7):
        ...     first, second = dropout(ones, training=True), dropout(ones, training=True)
        >>> bool(ops.all(first == second))
        True
    """
    _thread.number = number
    try:
        yield
    finally:
        _thread.number = None


def draws_are_told() -> bool:
    """Whether this is within `dropout_draws`: then the same forward pass made again drops the same."""
    return getattr(_thread, "number", None) is not None


class _Seeds(keras.random.SeedGenerator):
    """Seeds one after another, as in Keras, or the one of `dropout_draws`."""

    def next(self, ordered: bool = True) -> Any:
        if not draws_are_told():
            return super().next(ordered)
        return ops.stack([self.state[0], ops.cast(_thread.number, self.state.dtype)])


class Dropout(keras.layers.Layer):
    """Zeroes each value with probability `rate` and divides the others by `1 - rate` (Srivastava et al. 2014).

    Args:
        rate: share of values to zero; nothing happens at 0 or outside training.

    Call: `x` of any shape and `training` give the same shape.

    Example:
        >>> import numpy as np
        >>> Dropout(0.5)(np.ones(3, "float32"), training=False).numpy().tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        # Its state is a weight of the model: a checkpoint that holds it resumes with the same masks.
        self.seed_generator = _Seeds(name="seed_generator")
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        return keras.random.dropout(x, self.rate, seed=self.seed_generator)
