"""Converts byte offsets, which TensorFlow returns, to character offsets, which applications expect."""

from __future__ import annotations

import tensorflow as tf


def characters_before(texts: tf.Tensor, byte: tf.Tensor) -> tf.Tensor:
    """How many characters of each text come before the given byte, int32.

    Args:
        texts: UTF-8 strings of any shape.
        byte: int32 of the same shape. Offset of a character's first byte, or of the text's end.

    Example:
        >>> characters_before(tf.constant(["né à"]), tf.constant([3])).numpy().tolist()
        [2]
    """
    return tf.strings.length(tf.strings.substr(texts, tf.zeros_like(byte), byte), unit="UTF8_CHAR")
