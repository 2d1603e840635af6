"""Spans of a text by its bytes and by its pieces, in the graph."""

from __future__ import annotations

import tensorflow as tf

MOST_MARK_BYTES = 64  # of marks behind a word


def pieces_between(
    starts: tf.RaggedTensor, limits: tf.RaggedTensor, start: tf.Tensor, limit: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The first and the last piece that have a byte between `start` and `limit`, of each row."""
    row = starts.value_rowids()
    before = tf.cast(limits.flat_values <= tf.gather(start, row), tf.int32)
    begun = tf.cast(starts.flat_values < tf.gather(limit, row), tf.int32)
    first = tf.math.unsorted_segment_sum(before, row, starts.nrows())
    return first, tf.math.unsorted_segment_sum(begun, row, starts.nrows()) - 1


def marks_behind(texts: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """How many bytes of combining marks follow, which belong to the word although no piece has them.

    An uncased tokenizer removes them (Unicode's category Mn): accents that stand alone, vowel signs of Devanagari.
    """
    behind = tf.strings.substr(texts, limit, tf.fill(tf.shape(limit), MOST_MARK_BYTES))
    return tf.strings.length(behind) - tf.strings.length(tf.strings.regex_replace(behind, r"^(?:\p{Cf}*\p{Mn})+", ""))


def values_at(values: tf.RaggedTensor, index: tf.Tensor) -> tf.Tensor:
    """Of each row its values at `index` `(rows, n)`; where there are none, any."""
    flat = tf.concat([values.flat_values, [0]], axis=0)
    first = tf.cast(values.row_starts(), tf.int32)[:, None]
    return tf.gather(flat, tf.clip_by_value(first + index, 0, tf.size(flat) - 1))
