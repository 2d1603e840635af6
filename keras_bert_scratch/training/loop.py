"""The loop around `model.fit`: take up where the run stopped, show progress, keep states, stop in good order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.errors import UserError, user_error_within
from keras_bert_scratch.training.callbacks import MetricsLog, ProgressLine, StateKeeper
from keras_bert_scratch.training.lamb import Lamb
from keras_bert_scratch.training.optimizers import BertAdamW, MomentOptimizer
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.schedules import LinearWarmupDecay, WallClockSchedule

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


def train(
    model: keras.Model,
    batches_from: Callable[[int], tf.data.Dataset],
    run: RunDirectory,
    pace: Pace,
    title: str,
) -> int:
    """Trains `model` in `run` by `model.fit`, from the newest kept state if there is one.

    Args:
        model: takes `compile(optimizer)`.
        batches_from: gives the endless batches from a step on.
        run: where states and metrics go.
        pace: how long and how fast.
        title: what the progress line calls it.

    Returns: the step reached.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the state has been kept first.
    """
    rate: Any = pace.learning_rate
    if pace.steps is not None:
        rate = LinearWarmupDecay(pace.learning_rate, pace.steps, pace.warmup)
    model.compile(pace.optimizer_at(rate))
    state = run.restore_state(model)
    first_step = state["step"]

    callbacks: list[keras.callbacks.Callback] = []
    if pace.seconds is not None:
        clock = WallClockSchedule(pace.learning_rate, pace.seconds, pace.warmup, spent=state.get("seconds_spent", 0.0))
        callbacks.append(clock)
        keeper = StateKeeper(run, lambda: {"seconds_spent": clock.spent})
        progress = ProgressLine(title, pace.seconds, lambda: clock.spent, "s")
        steps_left = ENDLESS if clock.spent < pace.seconds else 0
    else:
        keeper = StateKeeper(run, dict)
        progress = ProgressLine(title, pace.steps, lambda: int(model.optimizer.iterations), "steps")
        steps_left = pace.steps - first_step
    # The line shows the means before the log takes them and starts anew.
    callbacks += [progress, MetricsLog(run.path, LOG_EVERY, first_step), keeper]

    if steps_left > 0:
        try:
            model.fit(
                batches_from(first_step), steps_per_epoch=steps_left, verbose=0, callbacks=callbacks, shuffle=False
            )
        except KeyboardInterrupt:
            progress.close()
            if int(model.optimizer.iterations) > first_step:
                keeper.keep()
            raise
        except tf.errors.OpError as error:
            raise user_error_within(error) or error from None
        finally:
            progress.close()
        keeper.keep()
    return int(model.optimizer.iterations)
