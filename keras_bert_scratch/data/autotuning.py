"""Datasets without autotuning, whose iterators end at once."""

from __future__ import annotations

import tensorflow as tf


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same dataset without tf.data's autotuning, for a pipeline whose buffers and parallelism are fixed.

    There is nothing to tune in it. But the thread that tunes sleeps for periods that double from 10 ms to a minute, and
    the end of the iterator waits until it wakes up (TensorFlow 2.21): each training would end up to a minute late.
    Datasets that are made from this one are not tuned either, so give a `map` on it a fixed parallelism.

    Args:
        dataset: tf.data.Dataset. One without `tf.data.AUTOTUNE`.

    Example:
        >>> without_autotuning(tf.data.Dataset.range(3)).options().autotune.enabled
        False
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
