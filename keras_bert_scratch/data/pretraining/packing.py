"""Row packing: several short examples share a row, so that little of a batch is padding."""

from __future__ import annotations

import numpy as np


def pack_rows(lengths: np.ndarray, max_length: int, max_examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Puts each example into the fullest row that has room for it, the longest examples first (best-fit decreasing).

    Args:
        lengths: tokens per example, the special ones included, each at most `max_length`.
        max_length: tokens of a row.
        max_examples: examples of a row at most.

    Returns: `order`, the examples' numbers row after row, and `row_splits`: row `r` is
    `order[row_splits[r]:row_splits[r + 1]]`.

    Example:
        >>> order, row_splits = pack_rows(np.array([4, 9, 6]), max_length=10, max_examples=8)
        >>> order.tolist(), row_splits.tolist()
        ([1, 2, 0], [0, 1, 3])
    """
    by_length = np.argsort(-lengths, kind="stable")
    # What leaves less room than the shortest example needs is a row by itself.
    shortest = int(lengths.min(initial=max_length))
    alone = int(np.searchsorted(-lengths[by_length], shortest - max_length))
    rows: list[list[int]] = []
    open_rows: list[list[int]] = [[] for _ in range(max_length + 1)]  # by the room that is left
    rooms = 0  # bit r is set where there is an open row with room r
    numbers = by_length[alone:].tolist()
    for number, length in zip(numbers, lengths[by_length[alone:]].tolist(), strict=True):
        fitting = rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = open_rows[room].pop()
            if not open_rows[room]:
                rooms &= ~(1 << room)
            rows[row].append(number)
            room -= length
        else:
            row, room = len(rows), max_length - length
            rows.append([number])
        if room >= shortest and len(rows[row]) < max_examples:
            open_rows[room].append(row)
            rooms |= 1 << room
    sizes = np.concatenate([np.ones(alone, np.int64), np.array([len(row) for row in rows], np.int64)])
    order = np.concatenate([by_length[:alone], np.array([number for row in rows for number in row], np.int64)])
    return order, np.concatenate([[0], np.cumsum(sizes)])
