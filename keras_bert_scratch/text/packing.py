"""Packing: `[CLS] a [SEP] b [SEP]`, trimmed and padded to one length, by TensorFlow's core operations."""

from __future__ import annotations

import tensorflow as tf

from keras_bert_scratch.text.vocabulary import Vocabulary


def trimmed_lengths(a: tf.Tensor, b: tf.Tensor, room: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How many tokens of each segment stay when both must fit into `room`.

    As if tokens were taken from the longer one, from `b` when equal, until they fit (Google's `_truncate_seq_pair`).

    Args:
        a: lengths of the first segments, int `(batch,)`.
        b: lengths of the second segments.
        room: tokens that fit.

    Example:
        >>> a, b = trimmed_lengths(tf.constant([10, 2]), tf.constant([10, 9]), room=7)
        >>> a.numpy().tolist(), b.numpy().tolist()
        ([4, 2], [3, 5])
    """
    half = (room + 1) // 2
    a = tf.minimum(a, tf.maximum(room - b, half))
    return a, tf.minimum(b, room - a)


def packed_lengths(a: tf.RaggedTensor, b: tf.RaggedTensor | None, max_length: int | tf.Tensor) -> tf.Tensor:
    """How many tokens each row has that `pack_segments` makes of the same arguments, int32 `(batch,)`.

    Example:
        >>> packed_lengths(tf.ragged.constant([[5, 6], [5] * 9]), None, max_length=8).numpy().tolist()
        [4, 8]
    """
    lengths = a.row_lengths() + 2 if b is None else a.row_lengths() + b.row_lengths() + 3
    return tf.minimum(tf.cast(lengths, tf.int32), max_length)


def pack_segments(
    a: tf.RaggedTensor, b: tf.RaggedTensor | None, max_length: int | tf.Tensor, vocabulary: Vocabulary
) -> dict[str, tf.Tensor]:
    """Rows `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]` (Devlin et al. 2019, figure 2), exactly `max_length` long.

    Args:
        a: ids of the first segments, `(batch, None)`.
        b: ids of the second segments, or `None`.
        max_length: length of every row, an int, or an int32 scalar of a graph that decides it only when it runs; what
            does not fit is trimmed at the end, the longer segment first.
        vocabulary: tells the ids of the special tokens.

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

    # Each place of a row looks up what belongs there: [CLS] at 0, then a, [SEP] behind it, then b, [SEP] at the end.
    place = tf.range(max_length)[None, :]
    start_b = lengths_a[:, None] + 2
    size = packed_lengths(a, b, max_length)[:, None]
    token_ids = tf.where(place < start_b - 1, _at(a, place - 1), vocabulary.sep_id)
    if b is not None:
        token_ids = tf.where((place >= start_b) & (place < size - 1), _at(b, place - start_b), token_ids)
    token_ids = tf.where(place == 0, vocabulary.cls_id, token_ids)
    return {
        "token_ids": tf.where(place < size, token_ids, vocabulary.pad_id),
        "segment_ids": tf.cast((place >= start_b) & (place < size), tf.int32),
        "padding_mask": tf.cast(place < size, tf.int32),
    }


def _at(rows: tf.RaggedTensor, places: tf.Tensor) -> tf.Tensor:
    """The value of each row at its places `(batch, length)`; places outside the row give anything."""
    # One more value at the end keeps the look-up inside the array when there is no row or the last one is short.
    values = tf.concat([tf.cast(rows.flat_values, tf.int32), [0]], axis=0)
    starts = tf.cast(rows.row_starts(), tf.int32)[:, None]
    return tf.gather(values, tf.clip_by_value(starts + places, 0, tf.size(values) - 1))
