"""Rows: joins rows of several requests into one batch, and splits a batch into rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Arrays = Mapping[str, np.ndarray]  # by name; the first axis of each is the row


def row_of(arrays: Arrays, number: int) -> dict[str, np.ndarray]:
    """Returns a row as a batch of one."""
    return {name: values[number : number + 1] for name, values in arrays.items()}


def joined(batches: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Joins several batches into one; shorter lists are padded at their end with 0 or an empty string.

    Example:
        >>> joined([{"words": np.array([[b"a"]], object)}, {"words": np.array([[b"b", b"c"]], object)}])["words"]
        array([[b'a', b''],
               [b'b', b'c']], dtype=object)
    """
    if len(batches) == 1:
        return dict(batches[0])
    return {name: _concatenated([batch[name] for batch in batches]) for name in batches[0]}


def _concatenated(parts: Sequence[np.ndarray]) -> np.ndarray:
    if len({part.shape[1:] for part in parts}) == 1:
        return np.concatenate(parts)
    longest = np.max([part.shape[1:] for part in parts], axis=0)
    whole = np.full((sum(map(len, parts)), *longest), b"" if parts[0].dtype == object else 0, parts[0].dtype)
    start = 0
    for part in parts:
        whole[(slice(start, start + len(part)), *map(slice, part.shape[1:]))] = part
        start += len(part)
    return whole
