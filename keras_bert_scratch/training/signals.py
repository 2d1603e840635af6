"""Signals: a few numbers that all workers exchange at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.training.gradients import local_replicas


class Signals:
    """The numbers that this worker sends with each step, and their sum over all workers, so that all act alike.

    Thus all workers use the same learning rate and stop after the same step. The numbers: the chief's learning rate, if
    it follows the clock; 1 if it does; 1 if the chief ends the phase; 1 for each worker that received SIGTERM or
    Ctrl-C.
    """

    def __init__(self) -> None:
        self.sent = tf.Variable(tf.zeros(4), trainable=False, name="signals")
        self.reduced = np.zeros(4, np.float32)

    def send(self, rate: float | None = None, phase_is_over: bool = False, terminated: bool = False) -> None:
        """Sets what this worker sends from the next step on."""
        self.sent.assign([float(number or 0.0) for number in (rate, rate is not None, phase_is_over, terminated)])

    @property
    def phase_is_over(self) -> bool:
        """Whether the chief ended the phase with the last step."""
        return bool(self.reduced[2] > 0)

    @property
    def all_terminate(self) -> bool:
        """Whether a worker received SIGTERM or Ctrl-C before the last step."""
        return bool(self.reduced[3] > 0)


def once_per_worker(sent: Any) -> Any:
    """What this replica adds to the sum over all replicas: only the first replica of each worker sends."""
    replica = tf.distribute.get_replica_context()
    number = tf.cast(replica.replica_id_in_sync_group, tf.int64)
    return tf.where(number % local_replicas(replica.strategy) == 0, sent, tf.zeros_like(sent))
