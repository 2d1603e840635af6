"""Packing: several short examples share a row, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np


def pack_rows(lengths: np.ndarray, max_length: int, max_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Assigns examples to rows by best-fit decreasing: the longest first, each to the fullest row with enough space.

    Args:
        lengths: int64 `(examples,)`. Tokens per example, the special ones included, each at most `max_length`.
        max_length: int. Tokens of a row.
        max_examples: int. Maximum number of examples in a row.

    Returns: `order`, int64 `(examples,)`, the indices of the examples row after row, and `row_splits`, int64 `(rows +
    1,)`: row `r` has `order[row_splits[r]:row_splits[r + 1]]`.

    Example:
        >>> order, row_splits = pack_rows(np.array([4, 9, 6]), max_length=10, max_examples=8)
        >>> order.tolist(), row_splits.tolist()
        ([1, 2, 0], [0, 1, 3])
    """
    by_length = np.argsort(-lengths, kind="stable")
    # An example that leaves less space than the shortest one needs gets a row of its own.
    shortest = int(lengths.min(initial=max_length))
    alone = int(np.searchsorted(-lengths[by_length], shortest - max_length))
    rows: list[list[int]] = []
    open_rows: list[list[int]] = [[] for _ in range(max_length + 1)]  # indexed by the number of free positions
    free_sizes = 0  # bit n is set if some open row has n free positions
    numbers = by_length[alone:].tolist()
    for number, length in zip(numbers, lengths[by_length[alone:]].tolist(), strict=True):
        fitting = free_sizes >> length
        if fitting:
            free = length + (fitting & -fitting).bit_length() - 1
            row = open_rows[free].pop()
            if not open_rows[free]:
                free_sizes &= ~(1 << free)
            rows[row].append(number)
            free -= length
        else:
            row, free = len(rows), max_length - length
            rows.append([number])
        if free >= shortest and len(rows[row]) < max_examples:
            open_rows[free].append(row)
            free_sizes |= 1 << free
    sizes = np.concatenate([np.ones(alone, np.int64), np.array([len(row) for row in rows], np.int64)])
    order = np.concatenate([by_length[:alone], np.array([number for row in rows for number in row], np.int64)])
    return order, np.concatenate([[0], np.cumsum(sizes)])
