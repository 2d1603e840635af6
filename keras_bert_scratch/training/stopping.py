"""Stopping a run: all workers after the same step, or at a gradient that is not finite."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import keras

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.schedules import WallClockSchedule
from keras_bert_scratch.training.training_state import STATES_FOLDER, list_checkpoints, steps_taken

PRESS_AGAIN = b"\nstopping after this step or the next one; press Ctrl-C again to stop without saving a state\n"


class CoordinatedStop(keras.callbacks.Callback):
    """Stops all workers after the same step.

    A phase ends by the chief's clock or the chief's `end_phase`; the run ends when any worker has received SIGTERM or
    Ctrl-C. A second Ctrl-C stops this worker as soon as Python runs again, and no state is saved.

    Args:
        clock: WallClockSchedule or None. For a run that is limited by seconds; it also sets the learning rate.
        chief: bool. Whether this process is the chief, whose clock and `end_phase` count.
    """

    def __init__(self, clock: WallClockSchedule | None, chief: bool) -> None:
        super().__init__()
        self.until = 0.0  # seconds of the clock at which the phase ends
        self.terminated = False  # some worker received SIGTERM or Ctrl-C, and all workers know it
        self._chief = chief
        self._clock = clock if chief else None
        self.interrupted = False  # Ctrl-C was pressed
        self.aborted = False  # Ctrl-C was pressed again
        self._sigterm = self._ends_phase = self._sent = False

    def end_phase(self) -> None:
        """Ends the phase after the next step; it has an effect only on the chief."""
        self._ends_phase = self._chief

    def on_train_begin(self, logs: Any = None) -> None:
        self._ends_phase = False
        if self._clock is not None:
            self._clock.start()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        signals = self.model.train_function.signals
        clock, ends_run = self._clock, self._sigterm or self.interrupted
        if clock is not None:
            signals.send(clock.rate, clock.spent >= self.until or self._ends_phase, ends_run)
        elif (ends_run or self._ends_phase) and not self._sent:
            signals.send(None, self._ends_phase, ends_run)
            self._sent = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        signals = self.model.train_function.signals
        self.terminated = signals.all_terminate
        if self.terminated or signals.phase_is_over:
            self.model.stop_training = True

    def listen(self) -> Callable[[], None]:
        """From now on, treats SIGTERM and Ctrl-C as requests to stop; returns a function that ends this."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        handlers = {signal.SIGTERM: self._on_sigterm, signal.SIGINT: self._on_sigint}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}

        def stop_listening() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return stop_listening

    def _on_sigterm(self, number: int, frame: Any) -> None:
        self._sigterm = True

    def _on_sigint(self, number: int, frame: Any) -> None:
        if self.interrupted:
            self.aborted = True
            raise KeyboardInterrupt
        self.interrupted = True
        with contextlib.suppress(OSError):  # Ctrl-C also ends the program that reads a pipe
            os.write(2, PRESS_AGAIN)  # `print` must not be called within another `print`


class NonFiniteGradient(keras.callbacks.Callback):
    """Ends the run at a step whose gradient is not finite. Such a step has changed no weight.

    Args:
        run: RunDirectory. For the message.
        action: str. `"stop"` ends the run; the error names the step, the batch's rows and the last good state. `"skip"`
            continues, and `skipped` in `metrics.csv` counts such steps.
        batch_size: int or None. Rows of a batch, for the message; `None` if batches differ.
        phase_start: int, default 0. Number of steps before the phase, whose batches are counted from 0.
    """

    def __init__(self, run: RunDirectory, action: str, batch_size: int | None, phase_start: int = 0) -> None:
        super().__init__()
        self._run = run
        self._action = action
        self._batch_size = batch_size
        self._phase_start = phase_start

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        function = self.model.train_function
        if not function.skipped_now or self._action == "skip" or function.searches_scale:
            return
        step = steps_taken(self.model)
        batch = step - self._phase_start
        states = list_checkpoints(self._run.folder)
        folder = self._run.path / STATES_FOLDER
        last = f"the last good state is {folder / states[-1].name}" if states else "no state was saved yet"
        rows = ""
        if self._batch_size is not None:
            rows = f", rows {(batch - 1) * self._batch_size:,} to {batch * self._batch_size - 1:,} of the data"
        raise UserError(
            f"{self._run.path}: the gradient is not finite at step {step} (batch {batch - 1}{rows}); {last}; lower "
            f"`learning_rate`, or skip such batches with `on_nonfinite='skip'`"
        )
