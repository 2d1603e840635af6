"""LayerNorm: each vector normalised to mean 0 and variance 1, then scaled by gamma and shifted by beta."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class LayerNorm(keras.layers.Layer):
    """y = (x - mean) / sqrt(variance + epsilon) * gamma + beta, over the last axis (Ba et al. 2016, eq. 4).

    Args:
        epsilon: float, default 1e-12. Added to the variance.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(..., hidden_size)`; returns the same shape. Mean and variance are computed in
    float32, whatever the dtype policy.

    Example:
        >>> y = LayerNorm()(ops.array([[1.0, 3.0]]))
        >>> [round(float(v), 3) for v in y[0]]
        [-1.0, 1.0]
    """

    def __init__(self, epsilon: float = 1e-12, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.gamma = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=(input_shape[-1],), initializer="zeros", name="beta")

    def call(self, x: Any) -> Any:
        x = ops.cast(x, "float32")
        centred = x - ops.mean(x, axis=-1, keepdims=True)
        variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
        normed = ops.cast(centred * ops.rsqrt(variance + self.epsilon), self.compute_dtype)
        return normed * self.gamma + self.beta

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "epsilon": self.epsilon}
