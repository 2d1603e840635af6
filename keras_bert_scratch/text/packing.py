"""Packing: `[CLS] a [SEP] b [SEP]`, trimmed and padded to one length, with TensorFlow's core operations."""

from __future__ import annotations

import tensorflow as tf

from keras_bert_scratch.text.vocabulary import Vocabulary


def trimmed_lengths(a: tf.Tensor, b: tf.Tensor, max_tokens: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How many tokens of each segment are kept when both together must fit into `max_tokens`.

    Equivalent to removing tokens one by one from the longer segment, from `b` if they are equally long, until both fit
    (Google's `_truncate_seq_pair`).

    Args:
        a: int tensor `(batch,)`. Lengths of the first segments, in tokens.
        b: int tensor `(batch,)`. Lengths of the second segments.
        max_tokens: int or int scalar tensor. Maximum length of both segments together.

    Example:
        >>> a, b = trimmed_lengths(tf.constant([10, 2]), tf.constant([10, 9]), max_tokens=7)
        >>> a.numpy().tolist(), b.numpy().tolist()
        ([4, 2], [3, 5])
    """
    half = (max_tokens + 1) // 2
    a = tf.minimum(a, tf.maximum(max_tokens - b, half))
    return a, tf.minimum(b, max_tokens - a)


def packed_lengths(a: tf.RaggedTensor, b: tf.RaggedTensor | None) -> tf.Tensor:
    """How many tokens the rows of `pack_segments` have before they are trimmed, int32 `(batch,)`.

    Example:
        >>> packed_lengths(tf.ragged.constant([[5, 6], [5] * 9]), None).numpy().tolist()
        [4, 11]
    """
    lengths = a.row_lengths() + 2 if b is None else a.row_lengths() + b.row_lengths() + 3
    return tf.cast(lengths, tf.int32)


def pack_segments(
    a: tf.RaggedTensor, b: tf.RaggedTensor | None, max_length: int | tf.Tensor, vocabulary: Vocabulary
) -> dict[str, tf.Tensor]:
    """Rows `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]` (Devlin et al. 2019, figure 2), exactly `max_length` long.

    Args:
        a: int `tf.RaggedTensor` `(batch, None)`. Ids of the first segments.
        b: int `tf.RaggedTensor` `(batch, None)` or `None`. Ids of the second segments.
        max_length: int, or an int32 scalar tensor that is known only when the graph runs. Length of every row;
            tokens that do not fit are removed at the end, from the longer segment first.
        vocabulary: Vocabulary. Provides the ids of the special tokens.

    Returns: `token_ids`, `segment_ids`, `padding_mask`, int32 `(batch, max_length)`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> packed = pack_segments(tf.ragged.constant([[5, 6]]), tf.ragged.constant([[5]]), 8, vocabulary)
        >>> packed["token_ids"].numpy().tolist(), packed["segment_ids"].numpy().tolist()
        ([[2, 5, 6, 3, 5, 3, 0, 0]], [[0, 0, 0, 0, 1, 1, 0, 0]])
    """
    lengths_a = tf.cast(a.row_lengths(), tf.int32)
    if b is None:
        lengths_a = tf.minimum(lengths_a, max_length - 2)
    else:
        lengths_a, _ = trimmed_lengths(lengths_a, tf.cast(b.row_lengths(), tf.int32), max_length - 3)

    # Each position of a row looks up its token: [CLS] at 0, then a, [SEP], then b, [SEP].
    position = tf.range(max_length)[None, :]
    start_b = lengths_a[:, None] + 2
    size = tf.minimum(packed_lengths(a, b), max_length)[:, None]
    token_ids = tf.where(position < start_b - 1, _at(a, position - 1), vocabulary.sep_id)
    if b is not None:
        token_ids = tf.where((position >= start_b) & (position < size - 1), _at(b, position - start_b), token_ids)
    token_ids = tf.where(position == 0, vocabulary.cls_id, token_ids)
    return {
        "token_ids": tf.where(position < size, token_ids, vocabulary.pad_id),
        "segment_ids": tf.cast((position >= start_b) & (position < size), tf.int32),
        "padding_mask": tf.cast(position < size, tf.int32),
    }


def _at(rows: tf.RaggedTensor, positions: tf.Tensor) -> tf.Tensor:
    """The value of each row at its positions `(batch, length)`; positions outside the row give arbitrary values."""
    # An extra value at the end keeps the index in range when there is no row or the last row is short.
    values = tf.concat([tf.cast(rows.flat_values, tf.int32), [0]], axis=0)
    starts = tf.cast(rows.row_starts(), tf.int32)[:, None]
    return tf.gather(values, tf.clip_by_value(starts + positions, 0, tf.size(values) - 1))
