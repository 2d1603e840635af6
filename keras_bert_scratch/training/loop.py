"""The loop around `model.fit`: resumes the run, shows progress, saves states, and stops cleanly."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.training.callbacks import LOG_EVERY, CheckpointSaver, MetricsLog, ProgressLine
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.matrix_peak import peak_of_all
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.schedules import LinearWarmupDecay, WallClockSchedule
from keras_bert_scratch.training.stopping import CoordinatedStop, NonFiniteGradient
from keras_bert_scratch.training.strategies import distributed, from_chief, is_chief, is_worker_lost
from keras_bert_scratch.training.training_state import steps_taken

ENDLESS = 1 << 40


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run in which all batches have the same size.

    Args:
        batches: maps `(first_step, worker, num_workers)` to one worker's endless batches, from that step of the phase.
        batch_size: int or None. Rows of all replicas together; `None` if batches differ.
        until: float, default 1.0. The fraction of the run that is done when the phase ends; 1 for the last phase.
        flops: float, default 0. Operations of a step's matrix products, forward and backward.
    """

    batches: Callable[[int, int, int], tf.data.Dataset]
    batch_size: int | None
    until: float = 1.0
    flops: float = 0.0


def train(
    model: keras.Model,
    phases: Sequence[Phase],
    run: RunDirectory,
    training: TrainingOptions,
    options: RunOptions,
    title: str,
    evaluation: PeriodicEvaluation | None = None,
) -> int:
    """Trains `model` in `run` by `model.fit`, from the newest undamaged state if there is one.

    Args:
        model: created under the strategy to train with; supports `compile(optimizer)`.
        phases: in order.
        run: where states and metrics are written.
        training: duration, optimizer and learning rate.
        options: accumulation, saving, and handling of gradients that are not finite.
        title: the title of the progress line.
        evaluation: the periodic evaluation, if there is one.

    Returns: the step reached.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; a state has been saved, unless it was pressed twice.
        Stopped: SIGTERM was received; a state has been saved.
        UserError: the gradient is not finite.
        tf.errors.OpError: the data are damaged, or a worker is lost: `converting_worker_errors` distinguishes them.
    """
    rate: Any = training.learning_rate
    if training.steps is not None:
        rate = LinearWarmupDecay(training.learning_rate, training.steps, training.warmup)
    strategy = model.distribute_strategy
    with strategy.scope():
        model.compile(training.optimizer_at(rate), accumulate=options.accumulate)
    model.make_train_function()
    loop = TrainingLoop(model, run, training, options, title, evaluation)
    stop_listening = loop.stop.listen()
    try:
        loop.run(phases)
        loop.save()
        # All workers end alike, and none before the chief has saved.
        stops = from_chief(strategy, int(loop.stop.terminated or loop.stop.interrupted))
    except (KeyboardInterrupt, Exception) as error:
        # If Ctrl-C arrives in C code that calls Python, as in tracing, CPython may turn it into a SystemError.
        pressed = loop.stop.aborted or isinstance(error, KeyboardInterrupt)
        # Ctrl-C ends all workers: one may have left the step that this one is still in.
        left_alone = loop.stop.interrupted and isinstance(error, tf.errors.OpError) and is_worker_lost(strategy, error)
        if not (pressed or left_alone):
            raise
        raise KeyboardInterrupt(f"{run.path}: interrupted; the same command resumes from the newest state") from None
    finally:
        stop_listening()
        loop.progress.close()
        loop.metrics.close()
    if stops:
        stopped = f"{run.path}: stopped at step {steps_taken(model)}; the same command resumes from there"
        raise KeyboardInterrupt(stopped) if loop.stop.interrupted else Stopped(stopped)
    return steps_taken(model)


class TrainingLoop:
    """One call of `model.fit` for each phase, from the newest state on, with the callbacks of a run.

    Args:
        model: compiled.
        run, training, options, title, evaluation: as in `train`.
    """

    def __init__(
        self,
        model: keras.Model,
        run: RunDirectory,
        training: TrainingOptions,
        options: RunOptions,
        title: str,
        evaluation: PeriodicEvaluation | None,
    ) -> None:
        self._model, self._run, self._options, self._evaluation = model, run, options, evaluation
        self._strategy = strategy = model.distribute_strategy
        self._chief = chief = is_chief(strategy)
        newest = run.newest_state() if chief else 0  # the chief alone verifies it: this reads the whole file
        self._first_step = first = from_chief(strategy, newest)
        state = run.restore_state(model, first)
        if chief and first:
            print_progress(f"{run.path}: resumes after step {first:,}")
        self._phase_starts: list[int] = state.get("phase_starts", [0])

        self._clock = None
        self._total, unit = training.steps, "steps"
        if training.seconds is not None:
            spent = state.get("seconds_spent", 0.0)
            self._clock = WallClockSchedule(training.learning_rate, training.seconds, training.warmup, spent)
            self._total, unit = training.seconds, "s"

        peak = peak_of_all(strategy, options.dtype)
        run.record_start(
            step=first,
            strategy=type(strategy).__name__,
            replicas=strategy.num_replicas_in_sync,
            matrix_peak_gflops=round(peak / 1e9, 1),
        )
        self.stop = CoordinatedStop(self._clock, chief)
        counted = (state.get("skipped", 0), state.get("tokens", 0.0))
        self.metrics = MetricsLog(run.folder, LOG_EVERY, first, *counted, peak, self._fraction_left, chief)
        self.progress = ProgressLine(title, self._total, self._done, unit, lambda: self.metrics.latest)
        self._saver = CheckpointSaver(run, self._state_beside_model, options.save_seconds)
        if evaluation:
            evaluation.forget_after(first)
            evaluation.on_patience_spent = self.stop.end_phase

    def run(self, phases: Sequence[Phase]) -> None:
        """Trains in all phases that are not over yet; returns early if a worker received SIGTERM or Ctrl-C."""
        for number, phase in enumerate(phases):
            # All workers follow the chief's clock, not their own.
            if from_chief(self._strategy, int(self._is_over(number))):
                continue
            if number == len(self._phase_starts):
                self._phase_starts.append(steps_taken(self._model))
            is_last = number == len(phases) - 1
            self._fit(phase, self._phase_starts[number], self._total if is_last else self._total * phase.until)
            if self.stop.terminated:
                break

    def save(self) -> None:
        """Saves a state, unless no step was taken."""
        if steps_taken(self._model) > self._first_step:
            self._saver.save()

    def _fit(self, phase: Phase, start: int, end: float) -> None:
        """Trains in a phase that began at the step `start` and is over at `end`, in steps or seconds."""
        model, step = self._model, steps_taken(self._model)
        steps = ENDLESS if self._clock else round(end) - step
        if steps <= 0:
            return
        self.stop.until = end
        self.metrics.step_flops = phase.flops
        model.make_train_function(force=True)  # one program for each batch size
        nonfinite = NonFiniteGradient(self._run, self._options.on_nonfinite, phase.batch_size, start)
        evaluation = filter(None, [self._evaluation])
        # The progress line reads the means before the log resets them.
        callbacks = [self.stop, nonfinite, *[self.progress] * self._chief, self.metrics, *evaluation, self._saver]
        model.fit(
            distributed(self._strategy, phase.batch_size, functools.partial(phase.batches, step - start)),
            steps_per_epoch=steps,
            verbose=0,
            callbacks=callbacks,
            shuffle=False,
        )

    def _is_over(self, number: int) -> bool:
        """Whether the phase of this number, or the whole run, is over before this process begins it."""
        patience_spent = self._evaluation is not None and self._evaluation.patience_spent
        ends = patience_spent or self.stop.interrupted
        return number + 1 < len(self._phase_starts) or self._done() >= self._total or ends

    def _done(self) -> float:
        return self._clock.spent if self._clock else steps_taken(self._model)

    def _fraction_left(self) -> float:
        return 1 - self._done() / self._total

    def _state_beside_model(self) -> dict[str, Any]:
        spent = {"seconds_spent": self._clock.spent} if self._clock else {}
        counted = {"skipped": self.metrics.skipped, "tokens": self.metrics.tokens}
        return {"phase_starts": self._phase_starts, **counted, **spent}
