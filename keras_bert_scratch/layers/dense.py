"""Dense: y = activation(x W + b), the linear layer that the other layers are built from."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
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

_thread = threading.local()  # models may be traced in several threads


@contextlib.contextmanager
def override_dense(product: Callable[[Any, Sequence[Dense]], Any]) -> Iterator[None]:
    """A context in which `product` replaces the computation of Dense layers, in the form that an engine runs fastest.

    Args:
        product: callable. Maps `x` and the layers to what `fused_dense` returns for them; for a single layer it also
            applies the activation.

    Example:
        >>> with override_dense(lambda x, layers: ops.ones((len(x), layers[0].units))):
        ...     Dense(2)(ops.zeros((1, 5))).numpy().tolist()
        [[1.0, 1.0]]
    """
    _thread.product = product
    try:
        yield
    finally:
        _thread.product = None


def fused_dense(x: Any, layers: Sequence[Dense]) -> Any:
    """x [W1 W2...] + [b1 b2...]: the outputs of several linear layers for one input, side by side.

    One wide product is faster than several narrow ones, and sums the gradients with respect to `x` internally.

    Args:
        x: float `(..., inputs)`.
        layers: all of one dtype policy, without activation.

    Returns: `(..., the sum of their units)`.
    """
    if product := getattr(_thread, "product", None):
        return product(x, layers)
    # Keras casts weights within `call`, but not when a decoder uses only a part of it.
    kernel, bias = (
        ops.cast(ops.concatenate(parts, axis=-1), layers[0].compute_dtype)
        for parts in ([layer.kernel for layer in layers], [layer.bias for layer in layers])
    )
    return ops.matmul(ops.cast(x, layers[0].compute_dtype), kernel) + bias


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Dense(keras.layers.Layer):
    """A linear map over the last axis, with an activation.

    Args:
        units: int. Size of the output's last axis.
        activation: str, default `"linear"`. A name in `ACTIVATIONS`.
        initializer_range: float, default 0.02. Standard deviation of the truncated normal from which the kernel is
            drawn; the bias starts at 0.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(..., inputs)`; returns `(..., units)`.

    Example:
        >>> tuple(Dense(3, activation="tanh")(ops.zeros((2, 5))).shape)
        (2, 3)
    """

    def __init__(self, units: int, activation: str = "linear", initializer_range: float = 0.02, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.activation_name = activation
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
        if product := getattr(_thread, "product", None):
            return product(x, (self,))
        return self.activation(ops.matmul(x, self.kernel) + self.bias)

    def get_config(self) -> dict[str, Any]:
        own = {"activation": self.activation_name, "initializer_range": self.initializer_range}
        return {**super().get_config(), "units": self.units, **own}


def head_dtype(policy: keras.DTypePolicy) -> str:
    """The dtype of the layer that computes logits or scores: at least float32, as bfloat16 has steps of 1/32 above 4.

    Args:
        policy: keras.DTypePolicy. The policy of the layers before it.

    Example:
        >>> head_dtype(keras.DTypePolicy("mixed_bfloat16"))
        'float32'
    """
    return keras.backend.result_type(policy.compute_dtype, "float32")
