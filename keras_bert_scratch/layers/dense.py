"""Dense: y = activation(x W + b), the matrix product that every other layer is made of."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def gelu(x: Any) -> Any:
    """The exact GELU: x times the standard normal's distribution function (Hendrycks & Gimpel 2016)."""
    return 0.5 * x * (1.0 + ops.erf(x * 0.7071067811865476))


def gelu_tanh(x: Any) -> Any:
    """The tanh approximation of GELU, as in Google's TF1 code."""
    return 0.5 * x * (1.0 + ops.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)))


ACTIVATIONS = {
    "linear": lambda x: x,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "relu": ops.relu,
    "silu": ops.silu,
    "tanh": ops.tanh,
}


class Dense(keras.layers.Layer):
    """A linear map over the last axis, with an activation.

    Args:
        units: size of the output's last axis.
        activation: one of `ACTIVATIONS`.
        initializer_range: standard deviation of the truncated normal of the kernel; the bias starts at 0.

    Call: `x` of shape `(..., inputs)` gives `(..., units)`.

    Example:
        >>> tuple(Dense(3, activation="tanh")(ops.zeros((2, 5))).shape)
        (2, 3)
    """

    def __init__(self, units: int, activation: str = "linear", initializer_range: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation = ACTIVATIONS[activation]
        self.initializer_range = initializer_range

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units),
            initializer=keras.initializers.TruncatedNormal(stddev=self.initializer_range),
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def call(self, x: Any) -> Any:
        return self.activation(ops.matmul(x, self.kernel) + self.bias)
