"""Metrics as sums: over positions, parts and replicas within a step, and over the steps since the last report."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from keras_bert_scratch.models.objectives import Objective


class MetricSums:
    """The sums of all steps since the last `reset`, over all replicas, and the means computed from them.

    Args:
        objectives: dict of str to Objective. The model's objectives.
    """

    def __init__(self, objectives: Mapping[str, Objective]) -> None:
        self._objectives = objectives
        self.reset()

    def reset(self) -> None:
        """Forgets all steps."""
        self._sums = np.zeros((3, len(self._objectives)))
        self._any = False
        self.tokens = self.positions = 0.0

    @property
    def any(self) -> bool:
        """Whether any step was added."""
        return self._any

    def add(self, sums: np.ndarray, tokens: np.ndarray) -> None:
        """Adds the sums of one or more steps.

        Args:
            sums: `(3, objectives)`: weighted sums of the losses, of the scores, and the sums of the weights.
            tokens: `(2,)`: tokens, and positions with padding.
        """
        self._sums += sums
        self.tokens, self.positions = self.tokens + tokens[0], self.positions + tokens[1]
        self._any = True

    def result(self) -> dict[str, float]:
        """Mean loss and score of each objective; `loss` is the sum of the mean losses times their `loss_weight`.

        A mean is NaN if no position counted, for instance if every step was skipped.
        """
        counted = self._sums[2] > 0
        means = np.full((2, len(counted)), math.nan)
        losses, scores = np.divide(self._sums[:2], self._sums[2], out=means, where=counted)
        loss_weights = [objective.loss_weight for objective in self._objectives.values()]
        found = {"loss": float(np.sum(loss_weights * losses, where=counted)) if counted.any() else math.nan}
        for (name, objective), loss, score in zip(self._objectives.items(), losses, scores, strict=True):
            if name:
                found[f"{name}_loss"] = float(loss)
            found[f"{name}_{objective.score}".lstrip("_")] = objective.finish(float(score))
        return found
