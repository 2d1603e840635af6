"""Learning-rate schedules: linear warmup, then linear decay."""

from __future__ import annotations

import time
from typing import Any

import keras
from keras import ops


def warmup_decay(progress: Any, warmup: float) -> Any:
    """The fraction of the peak rate at `progress` (0 to 1): rising to 1 at `warmup`, then falling to 0 at 1."""
    rising = progress / warmup if warmup else 1.0
    falling = (1.0 - progress) / (1.0 - warmup)
    return ops.maximum(ops.minimum(rising, falling), 0.0)


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class LinearWarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warmup, then linear decay to 0 (Devlin et al. 2019, appendix A.2).

    Args:
        peak: float. The highest rate.
        steps: int. The step at which the rate reaches 0.
        warmup: float, default 0.1. Fraction of `steps` in which it rises; the paper's 10,000 of 1,000,000 is 0.01.
            A run of one step has no warmup.

    Example:
        >>> schedule = LinearWarmupDecay(peak=1.0, steps=10, warmup=0.2)
        >>> [round(float(schedule(step)), 3) for step in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    def __init__(self, peak: float, steps: int, warmup: float = 0.1) -> None:
        self.peak = peak
        self.steps = steps
        self.warmup = warmup

    def __call__(self, step: Any) -> Any:
        warmup = self.warmup if self.steps > 1 else 0.0  # a rise from 0 would leave the only step without effect
        return self.peak * warmup_decay(ops.cast(step, "float32") / self.steps, warmup)

    def get_config(self) -> dict[str, Any]:
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}


class WallClockSchedule:
    """The same schedule over seconds instead of steps.

    For a fixed time budget: whatever the speed of the machine, the rate reaches 0 at the end of the budget.

    Args:
        peak: float. The highest rate.
        seconds: float. The budget.
        warmup: float, default 0.1. Fraction of the budget in which the rate rises.
        spent: float, default 0. Seconds that an interrupted run has used already.

    Example:
        >>> WallClockSchedule(peak=1.0, seconds=10.0, warmup=0.5, spent=10.0).rate
        0.0
    """

    def __init__(self, peak: float, seconds: float, warmup: float = 0.1, spent: float = 0.0) -> None:
        self.peak = peak
        self.seconds = seconds
        self.warmup = warmup
        self._spent_before = spent
        self._start: float | None = None

    def start(self) -> None:
        """Starts the clock, unless it runs already."""
        self._start = time.monotonic() if self._start is None else self._start

    @property
    def spent(self) -> float:
        """Seconds used so far, in this process and before."""
        return self._spent_before + (0.0 if self._start is None else time.monotonic() - self._start)

    @property
    def rate(self) -> float:
        """The learning rate now."""
        return float(self.peak * warmup_decay(min(1.0, self.spent / self.seconds), self.warmup))
