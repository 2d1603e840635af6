"""The machine's peak rate of matrix products, which a training step's utilisation is measured against."""

from __future__ import annotations

import functools
import time

import tensorflow as tf

from keras_bert_scratch.training.gradients import local_replicas

PEAK_SIZE = 1024
PEAK_SECONDS = 0.3


@functools.lru_cache
def matrix_peak(dtype: str = "float32") -> float:
    """The peak operations per second of matrix products on this machine, measured for a third of a second.

    It is measured once per process and dtype.

    Args:
        dtype: of the factors.
    """
    size = PEAK_SIZE if not tf.config.list_physical_devices("GPU") else 8 * PEAK_SIZE
    factor = tf.cast(tf.random.stateless_normal((size, size), (0, 0)), dtype)
    product = tf.function(lambda a: tf.reduce_max(tf.matmul(a, a)))
    product(factor).numpy()
    best, end = 0.0, time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        product(factor).numpy()
        best = max(best, 2.0 * size**3 / (time.perf_counter() - start))
    return best


def peak_of_all(strategy: tf.distribute.Strategy, dtype: str = "float32") -> float:
    """`matrix_peak` of all machines and devices that train together.

    Replicas on one CPU share its peak; on GPUs, each replica has its own device.
    """
    devices = strategy.num_replicas_in_sync
    if not tf.config.list_physical_devices("GPU"):
        devices //= local_replicas(strategy)
    return matrix_peak(dtype) * devices
