"""MergeChoices and SplitChoices: the choices of every question as rows of one batch, and back."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class MergeChoices(keras.layers.Layer):
    """Lays the choices of all questions under each other; a layer, as their number is known only when it runs.

    Call: `x` of shape `(batch, choices, length)` gives `(batch * choices, length)`.

    Example:
        >>> MergeChoices(dtype="int32")(ops.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])).numpy().tolist()
        [[1, 2], [3, 4], [5, 6], [7, 8]]
    """

    def call(self, x: Any) -> Any:
        return ops.reshape(x, (-1, ops.shape(x)[2]))


class SplitChoices(keras.layers.Layer):
    """Undoes `MergeChoices` for one score per row.

    Call: `scores` of shape `(batch * choices, 1)` and what was merged, `(batch, choices, length)`, give
    `(batch, choices)`.

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
