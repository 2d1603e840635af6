"""The loop around `model.fit`: take up where the run stopped, show progress, keep states, stop in good order."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.errors import Stopped, UserError
from keras_bert_scratch.training.callbacks import MetricsLog, ProgressLine, StateKeeper
from keras_bert_scratch.training.flops import peak_of_all
from keras_bert_scratch.training.lamb import Lamb
from keras_bert_scratch.training.optimizers import BertAdamW, MomentOptimizer
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.schedules import LinearWarmupDecay, WallClockSchedule
from keras_bert_scratch.training.steering import ON_NONFINITE, NonFinite, Steering
from keras_bert_scratch.training.strategies import distributed, from_chief, is_chief
from keras_bert_scratch.training.training_state import steps_taken

LOG_EVERY = 20
ENDLESS = 1 << 40

OPTIMIZERS = ("adamw", "lamb")


@dataclasses.dataclass(frozen=True)
class Pace:
    """How long to train and how fast to learn.

    Args:
        steps: optimizer steps, or `None` to go by `seconds`.
        seconds: wall-clock budget, or `None` to go by `steps`.
        learning_rate: the peak.
        warmup: share of the training in which the rate rises to it.
        bias_correction: whether to correct Adam's bias; Google's code does not, short runs fare better with it. LAMB
            always does.
        optimizer: `"adamw"`, with which BERT was trained, or `"lamb"`, for large batches.
        layer_decay: what the rate is multiplied by per layer downwards; below 1.0 the lower layers change less.

    Example:
        >>> Pace(steps=1000, learning_rate=1e-4).warmup
        0.1
    """

    steps: int | None = None
    seconds: float | None = None
    learning_rate: float = 1e-4
    warmup: float = 0.1
    bias_correction: bool = False
    optimizer: str = "adamw"
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise UserError("--steps, --budget: give one of the two")
        for name, value in (
            ("--steps", self.steps),
            ("--budget", self.seconds),
            ("--learning-rate", self.learning_rate),
        ):
            if value is not None and value <= 0:
                raise UserError(f"{name}: must be more than 0, not {value}")
        if not 0 <= self.warmup < 1:
            raise UserError(f"--warmup: is the share of the training, at least 0 and below 1, not {self.warmup}")
        if self.optimizer not in OPTIMIZERS:
            raise UserError(f"--optimizer: {self.optimizer!r} is unknown; choose one of {', '.join(OPTIMIZERS)}")
        if self.bias_correction and self.optimizer == "lamb":
            raise UserError("--bias-correction: is part of lamb already; leave it out or choose --optimizer adamw")
        if not 0 < self.layer_decay <= 1:
            raise UserError(f"--layer-decay: is a share, more than 0 and at most 1, not {self.layer_decay}")

    def optimizer_at(self, rate: Any) -> MomentOptimizer:
        """A new optimizer of the chosen kind; `rate` is a number or a schedule."""
        if self.optimizer == "lamb":
            return Lamb(rate, layer_decay=self.layer_decay)
        return BertAdamW(rate, bias_correction=self.bias_correction, layer_decay=self.layer_decay)


@dataclasses.dataclass(frozen=True)
class Leg:
    """A stretch of a run whose batches are of one size.

    Args:
        batches: `(first_step, worker, num_workers)` to the endless batches from a step of this leg on, of one worker.
        batch_size: rows of all replicas together.
        until: which share of the run is done when it ends; 1 for the last one.
        flops: of a step's matrix products, forward and backward.
    """

    batches: Callable[[int, int, int], tf.data.Dataset]
    batch_size: int
    until: float = 1.0
    flops: float = 0.0


@dataclasses.dataclass(frozen=True)
class Care:
    """How a run is looked after.

    Args:
        save_seconds: time between kept states.
        on_nonfinite: `"stop"` or `"skip"` a step whose gradient is not finite.
        evaluation: what else is called at every step, such as an `Evaluation`.
        dtype: of the matrix products, for the machine's peak.
    """

    save_seconds: float = 60.0
    on_nonfinite: str = "stop"
    evaluation: keras.callbacks.Callback | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.on_nonfinite not in ON_NONFINITE:
            raise UserError(
                f"--on-nonfinite: {self.on_nonfinite!r} is unknown; choose one of {', '.join(ON_NONFINITE)}"
            )


PLAIN_CARE = Care()


def train(
    model: keras.Model,
    legs: Sequence[Leg],
    run: RunDirectory,
    pace: Pace,
    title: str,
    accumulate: int = 1,
    care: Care = PLAIN_CARE,
) -> int:
    """Trains `model` in `run` by `model.fit`, from the newest whole state if there is one.

    Args:
        model: made under the strategy to train with; takes `compile(optimizer)`.
        legs: one after the other.
        run: where states and metrics go.
        pace: how long and how fast.
        title: what the progress line calls it.
        accumulate: parts that a batch is worked through in.
        care: how it is looked after.

    Returns: the step reached.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the state has been kept first.
        Stopped: SIGTERM came; the state has been kept first.
        UserError: the gradient is not finite.
        tf.errors.OpError: the data are damaged, or another worker is gone: `lost_workers_named` tells which.
    """
    strategy = model.distribute_strategy
    chief = is_chief(strategy)
    rate: Any = pace.learning_rate
    if pace.steps is not None:
        rate = LinearWarmupDecay(pace.learning_rate, pace.steps, pace.warmup)
    with strategy.scope():
        model.compile(pace.optimizer_at(rate), accumulate=accumulate)
    model.make_train_function()
    first_step = from_chief(strategy, run.newest_state())
    state = run.restore_state(model, first_step)

    clock = None
    if pace.seconds is not None:
        clock = WallClockSchedule(pace.learning_rate, pace.seconds, pace.warmup, spent=state.get("seconds_spent", 0.0))
        total, unit, done = pace.seconds, "s", lambda: clock.spent
    else:
        total, unit, done = pace.steps, "steps", lambda: steps_taken(model)
    leg_starts: list[int] = state.get("leg_starts", [0])

    def kept() -> dict[str, Any]:
        spent = {"seconds_spent": clock.spent} if clock else {}
        return {"leg_starts": leg_starts, "skipped": metrics.skipped, **spent}

    peak = peak_of_all(strategy, care.dtype)
    run.tell_start(
        step=first_step,
        strategy=type(strategy).__name__,
        replicas=strategy.num_replicas_in_sync,
        matrix_peak_gflops=round(peak / 1e9, 1),
    )
    keeper = StateKeeper(run, kept, care.save_seconds)
    skipped = state.get("skipped", 0)
    metrics = MetricsLog(run.path, LOG_EVERY, first_step, skipped, peak, lambda: 1 - done() / total, chief)
    progress = ProgressLine(title, total, done, unit, lambda: metrics.latest)
    steering = Steering(clock, chief)
    stop_listening = steering.listen()
    try:
        for number, leg in enumerate(legs):
            # Of workers that go by their own clocks, one decides.
            if from_chief(strategy, int(number + 1 < len(leg_starts) or done() >= total)):
                continue  # done before this process began
            if number == len(leg_starts):
                leg_starts.append(steps_taken(model))
            steering.until = end = total if number == len(legs) - 1 else total * leg.until
            metrics.step_flops = leg.flops
            model.make_train_function(force=True)  # one program for each size of batch
            # The line shows the means before the log takes them and starts anew.
            line = [progress] if chief else []
            nonfinite = NonFinite(run, care.on_nonfinite, leg.batch_size, leg_starts[number])
            others = [care.evaluation] if care.evaluation else []
            callbacks = [steering, nonfinite, *line, metrics, *others, keeper]
            batches = functools.partial(leg.batches, steps_taken(model) - leg_starts[number])
            steps = ENDLESS if clock else round(end) - steps_taken(model)
            if steps <= 0:
                continue
            model.fit(
                distributed(strategy, leg.batch_size, batches),
                steps_per_epoch=steps,
                verbose=0,
                callbacks=callbacks,
                shuffle=False,
            )
            if steering.terminated:
                break
    except KeyboardInterrupt:
        progress.close()
        if steps_taken(model) > first_step:
            keeper.keep()
        raise
    finally:
        stop_listening()
        progress.close()
        metrics.close()
    if steps_taken(model) > first_step:
        keeper.keep()
    if steering.terminated:
        raise Stopped(f"{run.path}: stopped at step {steps_taken(model)}; the same command goes on from there")
    return steps_taken(model)
