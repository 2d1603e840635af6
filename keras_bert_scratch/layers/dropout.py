"""Dropout: while training, zero a fraction of the activations and scale up the rest."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

_thread = threading.local()  # each replica is traced in its own thread


@contextlib.contextmanager
def dropout_seed_scope(number: Any) -> Iterator[None]:
    """A context in which the dropped values depend only on the layer's seed and on `number`.

    A forward pass that is repeated, by a resumed run or by `remat`, then drops the same values; replicas with different
    numbers drop different values.

    Args:
        number: int scalar tensor or int. A different number for every forward pass.

    Example:
        >>> dropout, ones = Dropout(0.5), ops.ones((100,))
        >>> with dropout_seed_scope(7):
        ...     first, second = dropout(ones, training=True), dropout(ones, training=True)
        >>> bool(ops.all(first == second))
        True
    """
    _thread.number = number
    try:
        yield
    finally:
        _thread.number = None


def in_dropout_seed_scope() -> bool:
    """Whether `dropout_seed_scope` is active, so that a repeated forward pass drops the same values."""
    return getattr(_thread, "number", None) is not None


class _Seeds(keras.random.SeedGenerator):
    """Keras's sequence of seeds; within `dropout_seed_scope`, the seed that is made from its number."""

    def next(self, ordered: bool = True) -> Any:
        if not in_dropout_seed_scope():
            return super().next(ordered)
        return ops.stack([self.state[0], ops.cast(_thread.number, self.state.dtype)])


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Dropout(keras.layers.Layer):
    """Zeroes each value with probability `rate` and divides the others by `1 - rate` (Srivastava et al. 2014).

    Args:
        rate: float. Fraction of values to zero, at least 0 and below 1; 0 changes nothing.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float of any shape; returns the same shape. Without `training=True`, it returns `x` itself.

    Example:
        >>> import numpy as np
        >>> Dropout(0.5)(np.ones(3, "float32"), training=False).numpy().tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        # Its state is a variable of the model: a run that is resumed with it drops the same values.
        self.seed_generator = _Seeds(name="seed_generator")
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        # At least float32, since uniform numbers in bfloat16 are multiples of 1/128: 1.6% of them are below 0.01.
        wide = ops.cast(x, keras.backend.result_type(x.dtype, "float32"))
        return ops.cast(keras.random.dropout(wide, self.rate, seed=self.seed_generator), x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "rate": self.rate}
