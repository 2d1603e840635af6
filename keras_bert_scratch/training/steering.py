"""What a run decides while it trains: when to stop, what to do about a gradient that is no number, when to measure."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.training.metric_sums import MetricSums
from keras_bert_scratch.training.run_directory import RunDirectory, kept_states, steps_taken
from keras_bert_scratch.training.schedules import WallClockSchedule

ON_NONFINITE = ("stop", "skip")


class Steering(keras.callbacks.Callback):
    """Stops all workers after the same step: when SIGTERM came to one of them, or the chief's clock says so.

    Args:
        clock: of a run that goes by seconds, or `None`; it then sets the learning rate too.
        chief: whether this process is the chief, whose clock counts.
    """

    def __init__(self, clock: WallClockSchedule | None, chief: bool) -> None:
        super().__init__()
        self.until = 0.0  # seconds of the clock at which the leg ends
        self.terminated = False  # somewhere SIGTERM came, and all workers know
        self._clock = clock if chief else None
        self._asked = self._said = self._interrupted = False

    def on_train_begin(self, logs: Any = None) -> None:
        if self._clock is not None:
            self._clock.on_train_begin()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        signals = self.model.train_function.signals
        if self._clock is not None:
            signals.send(self._clock.rate, self._clock.spent >= self.until, self._asked)
        elif self._asked and not self._said:
            signals.send(terminated=True)
            self._said = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        signals = self.model.train_function.signals
        self.terminated = signals.all_terminate
        if self.terminated or signals.phase_is_over:
            self.model.stop_training = True

    def listen(self) -> Callable[[], None]:
        """Takes SIGTERM as the wish to stop, and loses no Ctrl-C, from now on; returns what ends that."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        mine = {signal.SIGTERM: self._on_sigterm, signal.SIGINT: self._on_sigint}
        before = {number: signal.signal(number, handler) for number, handler in mine.items()}

        def stop_listening() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        return stop_listening

    def _on_sigterm(self, number: int, frame: Any) -> None:
        self._asked = True

    def _on_sigint(self, number: int, frame: Any) -> None:
        # Remembered too: where a library clears the exception, the end of the step raises it again.
        self._interrupted = True
        raise KeyboardInterrupt


class NonFinite(keras.callbacks.Callback):
    """Looks after steps whose gradient was not finite; they have changed no weight.

    Args:
        run: for the message.
        action: `"stop"` ends the run with the step, the batch's place and the last good state; `"skip"` goes on, and
            `skipped` in `metrics.csv` counts them.
        batch_size: rows of a batch, for the message.
        leg_start: the step before the first whose batches were counted from 0.
    """

    def __init__(self, run: RunDirectory, action: str, batch_size: int, leg_start: int = 0) -> None:
        super().__init__()
        self._run = run
        self._action = action
        self._batch_size = batch_size
        self._leg_start = leg_start

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        function = self.model.train_function
        if not function.skipped_now or self._action == "skip" or function.searches_scale:
            return
        step = steps_taken(self.model)
        batch = step - self._leg_start
        states = kept_states(self._run.path)
        last = f"the last good state is {states[-1]}" if states else "no state was kept yet"
        raise UserError(
            f"{self._run.path}: the gradient is not finite at step {step} (batch {batch - 1}, rows "
            f"{(batch - 1) * self._batch_size:,} to {batch * self._batch_size - 1:,} of the data); {last}; lower "
            f"--learning-rate, or leave such batches out with --on-nonfinite skip"
        )


class Evaluation(keras.callbacks.Callback):
    """Measures on a frozen set every so many steps, notes it, and keeps the best model in `best/`.

    Args:
        run: where to note it; `results` gets `evaluations` and `best`.
        every: steps between.
        measure: gives the results by name; the smallest `loss` is the best.
        keep: writes the model into a folder.
        writes: whether this process does so.
    """

    def __init__(
        self,
        run: RunDirectory,
        every: int,
        measure: Callable[[], dict[str, float]],
        keep: Callable[[Path], None],
        writes: bool,
    ) -> None:
        super().__init__()
        self._run = run
        self._every = every
        self._measure = measure
        self._keep = keep
        self._writes = writes
        self._step = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self._step = steps_taken(self.model)
        done = [entry for entry in self._run.results.get("evaluations", []) if entry["step"] <= self._step]
        self._run.note(evaluations=done)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        before, self._step = self._step, steps_taken(self.model)
        if self._step // self._every == before // self._every:
            return
        function = self.model.train_function
        sums, function.metric_sums = (
            function.metric_sums,
            MetricSums(self.model.objectives),
        )  # measuring begins with a reset
        results = self._measure()
        function.metric_sums = sums
        self._run.note(evaluations=[*self._run.results["evaluations"], {"step": self._step, **results}])
        best = self._run.results.get("best")
        if best is None or best["step"] > self._step or results["loss"] < best["loss"]:
            if self._writes:
                self._keep(self._run.path / "best")
            self._run.note(best={"step": self._step, **results})
        if self._writes:
            said = "  ".join(f"{name} {value:.4g}" for name, value in results.items())
            Console(stderr=True).print(f"held out at step {self._step}: {said}", highlight=False, soft_wrap=True)
