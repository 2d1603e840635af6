"""Columns as tensors: one string, one number or one list per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def as_tensor(values: Sequence[Any], dtype: Any = None) -> tf.Tensor | tf.RaggedTensor:
    """Converts a column to a tensor with one entry per row; lists become a ragged tensor.

    Args:
        values: one per row; either all are lists or none is.
        dtype: dtype of the tensor, default TensorFlow's choice.

    Example:
        >>> as_tensor([["a", "b"], []]).to_list(), as_tensor(["a", "b"]).numpy().tolist()
        ([[b'a', b'b'], []], [b'a', b'b'])
    """
    if len(values) and isinstance(values[0], (list, tuple)):
        flat = [item for row in values for item in row]
        dtype = dtype or (tf.int32 if flat and isinstance(flat[0], int) else tf.string)
        lengths = np.array([len(row) for row in values], np.int64)
        return tf.RaggedTensor.from_row_lengths(tf.constant(flat, dtype), lengths, validate=False)
    return tf.constant(values if hasattr(values, "dtype") else list(values), dtype)


def as_tensors(columns: Mapping[str, Sequence[Any]], rows: Sequence[int] | None = None) -> dict[str, Any]:
    """Every column as a tensor, with all rows or only those with the given numbers."""
    if rows is not None:
        columns = {name: [values[row] for row in rows] for name, values in columns.items()}
    return {name: as_tensor(values) for name, values in columns.items()}


def concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenates parts along the first axis; parts that are shorter along the second axis are padded
    with 0, or with empty strings.

    Example:
        >>> concatenated([np.array([[5]]), np.array([[6, 7]])]).tolist()
        [[5, 0], [6, 7]]
    """
    if parts[0].ndim < 2:
        return np.concatenate(parts)
    filling: Any = b"" if parts[0].dtype == object else 0
    shape = (sum(map(len, parts)), max(part.shape[1] for part in parts), *parts[0].shape[2:])
    whole, row = np.full(shape, filling, parts[0].dtype), 0
    for part in parts:
        whole[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return whole


def in_order(parts: Sequence[Mapping[str, np.ndarray]], batches: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Merges the columns of batches into columns of all rows, in the order of the row numbers.

    Args:
        parts: for each batch its columns by name, as arrays with one entry per row.
        batches: the row numbers of each batch.

    Example:
        >>> parts = [{"score": np.array([0.2, 0.0])}, {"score": np.array([0.1])}]
        >>> in_order(parts, [np.array([2, 0]), np.array([1])])["score"].tolist()
        [0.0, 0.1, 0.2]
    """
    if not parts:
        return {}
    order = np.argsort(np.concatenate(batches))
    return {name: concatenated([part[name] for part in parts])[order] for name in parts[0]}
