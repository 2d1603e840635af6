"""Places in rows: reading the vectors that stand there, and which ones a model reads at all."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def vectors_at(x: Any, places: Any) -> Any:
    """The vectors that stand at some places of each row.

    All rows are laid end to end first: one index per vector, and a gradient that adds up whole vectors, where
    `take_along_axis` would have an index per number.

    Args:
        x: `(batch, length, size)`.
        places: int `(batch, places)`.

    Returns: `(batch, places, size)`.

    Example:
        >>> vectors_at(ops.array([[[1.0], [2.0]], [[3.0], [4.0]]]), ops.array([[1], [0]]))[..., 0].numpy().tolist()
        [[2.0], [3.0]]
    """
    batch, length, size = ops.shape(x)
    first = ops.expand_dims(ops.arange(batch, dtype=places.dtype) * length, 1)
    return ops.take(ops.reshape(x, (-1, size)), places + first, axis=0)


class ReadPlaces(keras.layers.Layer):
    """Which places the heads of pretraining read; a layer, as their number is known only when it runs.

    Call: `mask_positions`, int `(batch, predictions)`, and `starts`, int `(batch, examples)` or `None`, give three:
    all these places, the starts first, `(batch, examples + predictions)`; and where among them each masked place and
    each start came to stand.

    Example:
        >>> at, masked, starts = ReadPlaces()(ops.array([[4, 7]]), ops.array([[0]]))
        >>> at.numpy().tolist(), masked.numpy().tolist(), starts.numpy().tolist()
        ([[0, 4, 7]], [[1, 2]], [[0]])
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "int32", **kwargs})

    def call(self, mask_positions: Any, starts: Any = None) -> Any:
        if starts is None:
            starts = mask_positions[:, :0]
        read_at = ops.concatenate([starts, mask_positions], axis=1)
        there = ops.cumsum(ops.ones_like(read_at), axis=1) - 1
        num_starts = ops.shape(starts)[1]
        return read_at, there[:, num_starts:], there[:, :num_starts]

    def compute_output_spec(self, mask_positions: Any, starts: Any = None) -> Any:
        sizes = [0 if starts is None else starts.shape[1], mask_positions.shape[1]]
        sizes = (None if None in sizes else sum(sizes), *reversed(sizes))
        return tuple(keras.KerasTensor((mask_positions.shape[0], size), dtype="int32") for size in sizes)
