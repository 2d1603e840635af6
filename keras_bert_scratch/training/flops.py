"""What a training step has to compute, and what the machine can: the two sides of its utilisation."""

from __future__ import annotations

import functools
import time

import tensorflow as tf

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.training.gradients import local_replicas

PEAK_SIZE = 1024
PEAK_SECONDS = 0.3


def step_flops(
    config: BertConfig, rows: int, length: int, predictions: int, examples: int = 1, last_only_read: bool = True
) -> float:
    """Floating-point operations of all matrix products of a pretraining step, forward and backward.

    A product of (a, b) and (b, c) is 2abc operations, and the backward pass has two for each one.

    Args:
        config: sizes.
        rows: of the batch.
        length: positions of a row.
        predictions: masked positions of a row; 0 for a model without that head.
        examples: of a row at most.
        last_only_read: whether the last block works only where its output is read.

    Example:
        >>> config = BertConfig.preset("bert-mini")
        >>> round(step_flops(config, 32, 128, 20, last_only_read=False) / 1e9)
        114
    """
    h, inner = config.hidden_size, config.intermediate_size

    def block(read: int) -> float:
        keys_and_values = 2 * length * 2 * h * h
        queries_and_output = 2 * read * 2 * h * h
        attention = 2 * read * length * 2 * h
        return keys_and_values + queries_and_output + attention + 2 * read * 2 * h * inner

    read = min(length, predictions + examples) if last_only_read else length
    encoder = (config.num_layers - 1) * block(length) + block(read)
    masked_lm = 2 * predictions * (h * h + h * config.vocab_size)
    pooled = 2 * examples * (h * h + 2 * h)
    return 3.0 * rows * (encoder + masked_lm + pooled)


@functools.lru_cache
def matrix_peak(dtype: str = "float32") -> float:
    """The most operations per second that matrix products reach here, measured for a third of a second.

    It is measured once in a process.

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

    Replicas on one processor share it; on GPUs each has its own.
    """
    devices = strategy.num_replicas_in_sync
    if not tf.config.list_physical_devices("GPU"):
        devices //= local_replicas(strategy)
    return matrix_peak(dtype) * devices
