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
        self._any = False
        self.tokens = self.places = 0.0

    @property
    def any(self) -> bool:
        """Whether there was a step."""
        return self._any

    def add(self, sums: np.ndarray, read: np.ndarray) -> None:
        """Adds what some steps gave: `Sums` as rows, and the tokens and places read."""
        self._sums += sums
        self.tokens, self.places = self.tokens + read[0], self.places + read[1]
        self._any = True

    def result(self) -> dict[str, float]:
        """Per output the mean loss and score of all its places; `loss` is what these losses come to by their shares.

        Not a number where nothing counted, as when every step was skipped.
        """
        counted = self._sums[2] > 0
        means = np.full((2, len(counted)), math.nan)
        losses, scores = np.divide(self._sums[:2], self._sums[2], out=means, where=counted)
        shares = [objective.share for objective in self._objectives.values()]
        found = {"loss": float(np.sum(shares * losses, where=counted)) if counted.any() else math.nan}
        for (name, objective), loss, score in zip(self._objectives.items(), losses, scores, strict=True):
            if name:
                found[f"{name}_loss"] = float(loss)
            found[f"{name}_{objective.score}".lstrip("_")] = objective.finish(float(score))
        return found
