"""Positions in rows: gathering their vectors, and the positions that the pretraining heads need."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def gather_positions(x: Any, positions: Any) -> Any:
    """The vectors at some positions of each row.

    All rows are first laid end to end, so that each vector needs one index and the gradient adds whole vectors;
    `take_along_axis` would need one index per number.

    Args:
        x: float `(batch, length, size)`.
        positions: int `(batch, positions)`, each from 0 to `length - 1`.

    Returns: `(batch, positions, size)`, of the dtype of `x`.

    Example:
        >>> x = ops.array([[[1.0], [2.0]], [[3.0], [4.0]]])
        >>> gather_positions(x, ops.array([[1], [0]]))[..., 0].numpy().tolist()
        [[2.0], [3.0]]
    """
    batch, length, size = ops.shape(x)
    first = ops.expand_dims(ops.arange(batch, dtype=positions.dtype) * length, 1)
    return ops.take(ops.reshape(x, (-1, size)), positions + first, axis=0)


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class QueryPositions(keras.layers.Layer):
    """The positions whose vectors the pretraining heads need; a layer, because their number is dynamic.

    Call: takes `mask_positions`, int `(batch, predictions)`, and `starts`, int `(batch, examples)` or `None`; returns
    three int32 tensors: all these positions, starts first, `(batch, examples + predictions)`; the index of each masked
    position among them, `(batch, predictions)`; the index of each start among them, `(batch, examples)`.

    Example:
        >>> positions, masked, starts = QueryPositions()(ops.array([[4, 7]]), ops.array([[0]]))
        >>> positions.numpy().tolist(), masked.numpy().tolist(), starts.numpy().tolist()
        ([[0, 4, 7]], [[1, 2]], [[0]])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "int32", **kwargs})

    def call(self, mask_positions: Any, starts: Any = None) -> Any:
        if starts is None:
            starts = mask_positions[:, :0]
        positions = ops.concatenate([starts, mask_positions], axis=1)
        index = ops.cumsum(ops.ones_like(positions), axis=1) - 1
        num_starts = ops.shape(starts)[1]
        return positions, index[:, num_starts:], index[:, :num_starts]

    def compute_output_spec(self, mask_positions: Any, starts: Any = None) -> Any:
        sizes = [0 if starts is None else starts.shape[1], mask_positions.shape[1]]
        sizes = (None if None in sizes else sum(sizes), *reversed(sizes))
        return tuple(keras.KerasTensor((mask_positions.shape[0], size), dtype="int32") for size in sizes)
