"""What steps give, added up: over places, parts and replicas in a step, and over the steps since the last report."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


class Sums(NamedTuple):
    """What a batch gives, added up over places, parts and replicas; float32 `(outputs,)` each.

    Args:
        loss, score: weighted sums of what the objectives give.
        weight: of all places.
    """

    loss: Any
    score: Any
    weight: Any


class Means:
    """The means over all steps since the last `reset`, of a whole strategy; `tokens` of how many `places` were read.

    Args:
        objectives: of the model, by output.
    """

    def __init__(self, objectives: dict[str, Any]) -> None:
        self._objectives = objectives
        self.reset()

    def reset(self) -> None:
        """Starts anew."""
        self._sums = np.zeros((3, len(self._objectives)))
        self._loss, self._steps, self._any = 0.0, 0, False
        self.tokens = self.places = 0.0

    @property
    def any(self) -> bool:
        """Whether there was a step."""
        return self._any

    def add(self, sums: np.ndarray, loss: float, read: np.ndarray, steps: int) -> None:
        """Adds what some steps gave: `Sums` as rows, the sum of their losses, and the tokens and places read."""
        self._sums += sums
        self._loss += loss
        self.tokens, self.places = self.tokens + read[0], self.places + read[1]
        self._steps += steps
        self._any = True

    def result(self) -> dict[str, float]:
        """`loss`, and per output its own loss and score; the loss is the mean of the steps', the others of places.

        Not a number where nothing counted, as when every step was skipped.
        """
        found = {"loss": self._loss / (self._steps or math.nan)}
        for (name, objective), (loss, score, weight) in zip(self._objectives.items(), self._sums.T, strict=True):
            prefix = f"{name}_" if name else ""
            weight = weight or math.nan
            if name:
                found[f"{prefix}loss"] = float(loss / weight)
            found[f"{prefix}{objective.score}"] = objective.finish(float(score / weight))
        return found
