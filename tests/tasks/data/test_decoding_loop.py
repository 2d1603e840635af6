"""The loop that generates texts: it ends even with a single thread."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import tensorflow as tf
from keras_bert_scratch.tasks.data.decoding_loop import decoding_while_loop

@tf.function
def ones(number):
    def write(position, values):
        values = tf.cond(position % 2 == 0, lambda: tf.concat([values, [1]], axis=0), lambda: values)
        return position + 1, values

    begin, shapes = (0, tf.zeros([0], tf.int32)), (tf.TensorShape([]), tf.TensorShape([None]))
    return decoding_while_loop(lambda position, _: position < number, write, begin, shapes)[1]

print(ones(tf.constant(6)).numpy())
"""


@pytest.mark.slow
def test_a_single_thread_is_enough():
    """A step that waits for a thread while it holds the only one would never end, as on a machine with one core."""
    threads = {"TF_NUM_INTEROP_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], env={**os.environ, **threads}, capture_output=True, text=True, timeout=90
    )
    assert run.stdout == "[1 1 1]\n", run.stderr
