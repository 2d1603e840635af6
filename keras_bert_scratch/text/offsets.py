"""From bytes, in which TensorFlow counts, to characters, in which people's programs do."""

from __future__ import annotations

import tensorflow as tf


def characters_before(texts: tf.Tensor, byte: tf.Tensor) -> tf.Tensor:
    """How many characters of each text come before that byte, int32.

    Args:
        texts: UTF-8 strings of any shape.
        byte: int32 of the same shape. The first byte of a character, or the end.

    Example:
        >>> characters_before(tf.constant(["né à"]), tf.constant([3])).numpy().tolist()
        [2]
    """
    return tf.strings.length(tf.strings.substr(texts, tf.zeros_like(byte), byte), unit="UTF8_CHAR")
