"""MergeChoices and SplitChoices: the choices of every question as rows of one batch, and back."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class MergeChoices(keras.layers.Layer):
    """Reshapes the choices of all questions into rows of one batch; a layer, because their number is dynamic.

    Call: takes `x`, int `(batch, choices, length)`; returns `(batch * choices, length)`.

    Example:
        >>> MergeChoices(dtype="int32")(ops.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])).numpy().tolist()
        [[1, 2], [3, 4], [5, 6], [7, 8]]
    """

    def call(self, x: Any) -> Any:
        return ops.reshape(x, (-1, ops.shape(x)[2]))

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())  # without this, Keras cannot serialize a layer whose dtype is a policy


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class SplitChoices(keras.layers.Layer):
    """The inverse of `MergeChoices`, for one score per row.

    Call: takes `scores`, float `(batch * choices, 1)`, and the tensor that was merged, `(batch, choices, length)`;
    returns `(batch, choices)`.

    Example:
        >>> tuple(SplitChoices()(ops.ones((6, 1)), ops.ones((2, 3, 9))).shape)
        (2, 3)
    """

    def compute_output_shape(
        self, scores_shape: tuple[int | None, ...], merged_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return merged_shape[:2]

    def call(self, scores: Any, merged: Any) -> Any:
        return ops.reshape(scores, ops.shape(merged)[:2])

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())
