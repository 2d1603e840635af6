"""Signals: a few numbers that all workers exchange at every step."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


class Signals:
    """What this worker sends with each step, and the sum over all workers, by which they act alike.

    So all workers learn at the same rate and stop after the same step. The numbers: the chief's learning rate, if that
    goes by the clock; 1 if it does; 1 if the chief wants the phase to end; 1 for each worker that got SIGTERM.
    """

    def __init__(self) -> None:
        self.sent = tf.Variable(tf.zeros(4), trainable=False, name="signals")
        self.reduced = np.zeros(4, np.float32)

    def send(self, rate: float | None = None, phase_is_over: bool = False, terminated: bool = False) -> None:
        """Sets what this worker sends from the next step on."""
        self.sent.assign([float(number or 0.0) for number in (rate, rate is not None, phase_is_over, terminated)])

    @property
    def phase_is_over(self) -> bool:
        """Whether the chief wanted the phase to end with the last step."""
        return bool(self.reduced[2] > 0)

    @property
    def all_terminate(self) -> bool:
        """Whether a worker got SIGTERM before the last step."""
        return bool(self.reduced[3] > 0)
