"""Conversion between byte spans and piece spans of texts, in the graph."""

from __future__ import annotations

import tensorflow as tf

MOST_MARK_BYTES = 64  # maximum length of the combining marks after a word


def pieces_between(
    starts: tf.RaggedTensor, limits: tf.RaggedTensor, start: tf.Tensor, limit: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """For each row, the first and the last piece that overlap the bytes from `start` to `limit` (exclusive)."""
    row = starts.value_rowids()
    before = tf.cast(limits.flat_values <= tf.gather(start, row), tf.int32)
    begun = tf.cast(starts.flat_values < tf.gather(limit, row), tf.int32)
    first = tf.math.unsorted_segment_sum(before, row, starts.nrows())
    return first, tf.math.unsorted_segment_sum(begun, row, starts.nrows()) - 1


def num_trailing_mark_bytes(texts: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """Number of bytes of combining marks after `limit`; they belong to the word although no piece covers them.

    An uncased tokenizer removes these marks (Unicode category Mn): separate accents, vowel signs of Devanagari.
    """
    behind = tf.strings.substr(texts, limit, tf.fill(tf.shape(limit), MOST_MARK_BYTES))
    return tf.strings.length(behind) - tf.strings.length(tf.strings.regex_replace(behind, r"^(?:\p{Cf}*\p{Mn})+", ""))


def values_at(values: tf.RaggedTensor, index: tf.Tensor) -> tf.Tensor:
    """The values of each row at `index` `(rows, n)`; arbitrary values where `index` is outside the row."""
    flat = tf.concat([values.flat_values, [0]], axis=0)
    first = tf.cast(values.row_starts(), tf.int32)[:, None]
    return tf.gather(flat, tf.clip_by_value(first + index, 0, tf.size(flat) - 1))
