"""Windows: a sequence that is longer than a model's row is split into several overlapping rows."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows of some sequences; the windows of one sequence are consecutive.

    Args:
        counts: int32 `(sequences,)`. Number of windows of each sequence, at least 1.
        sequence: int32 `(windows,)`. The sequence of each window.
        start, limit: int32 `(windows,)`. The window's positions in the sequence, from `start` to `limit` (exclusive).
        stride: int32 `(sequences,)`. Distance from one window's start to the next one's.
        overlap: int32 `(sequences,)`. Positions that two neighbouring windows share.
    """

    counts: tf.Tensor
    sequence: tf.Tensor
    start: tf.Tensor
    limit: tf.Tensor
    stride: tf.Tensor
    overlap: tf.Tensor

    @property
    def first(self) -> tf.Tensor:
        """The index of each sequence's first window among all windows, int32 `(sequences,)`."""
        return tf.cumsum(self.counts, exclusive=True)

    def chosen(self, numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`sequence, start, limit` of one window per sequence, given its index within the sequence."""
        picked = self.first + numbers
        return tf.range(tf.size(numbers)), tf.gather(self.start, picked), tf.gather(self.limit, picked)

    def best(self, sequence: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
        """The index, within its sequence, of the window that maximizes the smaller of a position's two contexts.

        Args:
            sequence: int32 `(n,)`. The sequence of each position.
            position: int32 `(n,)`. Positions within these sequences.
        """
        overlap, stride = tf.gather(self.overlap, sequence), tf.gather(self.stride, sequence)
        return tf.clip_by_value((position - overlap // 2) // stride, 0, tf.gather(self.counts, sequence) - 1)


def overlapping_windows(lengths: tf.Tensor, room: tf.Tensor | int, overlap: tf.Tensor | int) -> Windows:
    """Splits sequences into windows of at most `room` positions that together cover every position.

    Args:
        lengths: int `(sequences,)`. Lengths of the sequences.
        room: int or int32 `(sequences,)`. Maximum number of positions in a window, at least 1.
        overlap: int or int32 `(sequences,)`. Positions that neighbouring windows share; capped at `room - 1`, so that
            every window advances.

    Example:
        >>> windows = overlapping_windows(tf.constant([3, 10]), room=4, overlap=2)
        >>> tf.stack([windows.sequence, windows.start, windows.limit], axis=1).numpy().tolist()
        [[0, 0, 3], [1, 0, 4], [1, 2, 6], [1, 4, 8], [1, 6, 10]]
        >>> windows.best(tf.ones([10], tf.int32), tf.range(10)).numpy().tolist()
        [0, 0, 0, 1, 1, 2, 2, 3, 3, 3]
    """
    lengths = tf.cast(lengths, tf.int32)
    room = tf.zeros_like(lengths) + room
    overlap = tf.clip_by_value(tf.zeros_like(lengths) + overlap, 0, room - 1)
    stride = room - overlap
    counts = 1 + tf.maximum(0, -(-(lengths - room) // stride))
    sequence = tf.repeat(tf.range(tf.size(lengths)), counts)
    number = tf.range(tf.size(sequence)) - tf.gather(tf.cumsum(counts, exclusive=True), sequence)
    start = number * tf.gather(stride, sequence)
    limit = tf.minimum(start + tf.gather(room, sequence), tf.gather(lengths, sequence))
    return Windows(counts, sequence, start, limit, stride, overlap)


def slices(sequences: tf.RaggedTensor, which: tf.Tensor, start: tf.Tensor, limit: tf.Tensor) -> tf.RaggedTensor:
    """Cuts a slice of a sequence for each entry of `which`, ragged `(slices, None)`.

    Args:
        sequences: ragged `(sequences, None)`.
        which: int32 `(slices,)`. The sequence of each slice.
        start, limit: int32 `(slices,)`. First position of the slice, and its end (exclusive).

    Example:
        >>> slices(tf.ragged.constant([[1, 2, 3], [4]]), tf.constant([0, 1]), tf.constant([1, 0]), tf.constant([3, 1]))
        <tf.RaggedTensor [[2, 3], [4]]>
    """
    first: Any = tf.gather(tf.cast(sequences.row_starts(), tf.int32), which)
    index = tf.ragged.range(first + start, first + limit, row_splits_dtype=tf.int64)
    return index.with_flat_values(tf.gather(sequences.flat_values, index.flat_values))
