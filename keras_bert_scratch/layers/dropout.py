"""Dropout: while training, zero a share of the activations and scale up the rest."""

from __future__ import annotations

from typing import Any

import keras


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
        self.seed_generator = keras.random.SeedGenerator()
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        if not training or self.rate == 0:
            return x
        return keras.random.dropout(x, self.rate, seed=self.seed_generator)
