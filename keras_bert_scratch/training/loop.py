"""The loop around `model.fit`: resumes the run, shows progress, saves states, and stops cleanly."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.training.callbacks import CheckpointSaver, MetricsLog, ProgressLine
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.matrix_peak import peak_of_all
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.schedules import LinearWarmupDecay, WallClockSchedule
from keras_bert_scratch.training.stopping import CoordinatedStop, NonFiniteGradient
from keras_bert_scratch.training.strategies import distributed, from_chief, is_chief
from keras_bert_scratch.training.training_state import steps_taken

LOG_EVERY = 20
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
        KeyboardInterrupt: Ctrl-C was pressed; the state has been saved.
        Stopped: SIGTERM was received; the state has been saved.
        UserError: the gradient is not finite.
        tf.errors.OpError: the data are damaged, or a worker is lost: `converting_worker_errors` distinguishes them.
    """
    strategy = model.distribute_strategy
    chief = is_chief(strategy)
    rate: Any = training.learning_rate
    if training.steps is not None:
        rate = LinearWarmupDecay(training.learning_rate, training.steps, training.warmup)
    with strategy.scope():
        model.compile(training.optimizer_at(rate), accumulate=options.accumulate)
    model.make_train_function()
    first_step = from_chief(strategy, run.newest_state() if chief else 0)  # verifying reads the whole file
    state = run.restore_state(model, first_step)

    clock = None
    total, unit = training.steps, "steps"
    if training.seconds is not None:
        spent = state.get("seconds_spent", 0.0)
        clock = WallClockSchedule(training.learning_rate, training.seconds, training.warmup, spent)
        total, unit = training.seconds, "s"

    def done() -> float:
        return clock.spent if clock else steps_taken(model)

    phase_starts: list[int] = state.get("phase_starts", [0])

    def state_beside_model() -> dict[str, Any]:
        spent = {"seconds_spent": clock.spent} if clock else {}
        return {"phase_starts": phase_starts, "skipped": metrics.skipped, "tokens": metrics.tokens, **spent}

    peak = peak_of_all(strategy, options.dtype)
    run.record_start(
        step=first_step,
        strategy=type(strategy).__name__,
        replicas=strategy.num_replicas_in_sync,
        matrix_peak_gflops=round(peak / 1e9, 1),
    )
    saver = CheckpointSaver(run, state_beside_model, options.save_seconds)
    counted = (state.get("skipped", 0), state.get("tokens", 0.0))
    metrics = MetricsLog(run.folder, LOG_EVERY, first_step, *counted, peak, lambda: 1 - done() / total, chief)
    progress = ProgressLine(title, total, done, unit, lambda: metrics.latest)
    stop = CoordinatedStop(clock, chief)
    patience_spent = False
    if evaluation:
        evaluation.forget_after(first_step)
        evaluation.on_patience_spent = stop.end_phase
        patience_spent = evaluation.patience_spent
    stop_listening = stop.listen()
    try:
        for number, phase in enumerate(phases):
            # All workers follow the chief's clock, not their own.
            if from_chief(strategy, int(number + 1 < len(phase_starts) or done() >= total or patience_spent)):
                continue  # finished before this process started
            if number == len(phase_starts):
                phase_starts.append(steps_taken(model))
            stop.until = end = total if number == len(phases) - 1 else total * phase.until
            metrics.step_flops = phase.flops
            model.make_train_function(force=True)  # one program for each batch size
            nonfinite = NonFiniteGradient(run, options.on_nonfinite, phase.batch_size, phase_starts[number])
            # The progress line reads the means before the log resets them.
            callbacks = [stop, nonfinite, *[progress] * chief, metrics, *filter(None, [evaluation]), saver]
            batches = functools.partial(phase.batches, steps_taken(model) - phase_starts[number])
            steps = ENDLESS if clock else round(end) - steps_taken(model)
            if steps <= 0:
                continue
            model.fit(
                distributed(strategy, phase.batch_size, batches),
                steps_per_epoch=steps,
                verbose=0,
                callbacks=callbacks,
                shuffle=False,
            )
            patience_spent = evaluation is not None and evaluation.patience_spent
            if stop.terminated:
                break
    except (KeyboardInterrupt, Exception) as error:
        # If Ctrl-C arrives in C code that calls Python, as in tracing, CPython may turn it into a SystemError.
        if not (stop.interrupted or isinstance(error, KeyboardInterrupt)):
            raise
        progress.close()
        if steps_taken(model) > first_step:
            saver.save()
        raise KeyboardInterrupt from None
    finally:
        stop_listening()
        progress.close()
        metrics.close()
    if steps_taken(model) > first_step:
        saver.save()
    if stop.terminated:
        raise Stopped(f"{run.path}: stopped at step {steps_taken(model)}; the same command resumes from there")
    return steps_taken(model)
