"""PeriodicEvaluation: evaluates during training, keeps the best model, and ends training that no longer improves."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_bert_scratch.progress import print_progress
from keras_bert_scratch.training.run_directory import BEST_FOLDER, RunDirectory
from keras_bert_scratch.training.training_state import steps_taken


class PeriodicEvaluation(keras.callbacks.Callback):
    """Evaluates every `every` steps, adds the results to the run, and keeps the best model in `best/`.

    In `run.json`, `results` gets `evaluations`, with one entry each, `best`, the entry of the model in `best/`, and
    `best_by`. If a run is resumed from a state before its best model, and its repeated steps give other values, `best`
    may be an entry that is not among the `evaluations`.

    Args:
        run: RunDirectory. The run that gets the results.
        every: float. Steps between two evaluations.
        measure: called without arguments; returns the results by name.
        save: called with the folder to write the model into.
        best_by: tuple, default `("loss", "min")`. The result that selects the best model, and whether its maximum or
            its minimum is the best.
        patience: int or None, default None. After this many evaluations in a row without improvement,
            `on_patience_spent` is called.
        on_patience_spent: called when the patience is spent.
        writes: bool, default True. Whether this process writes the model and prints the results; of several workers
            only the chief does.
        measures: bool, default True. Whether this process evaluates: the chief only, or all workers if all are needed.
    """

    def __init__(
        self,
        run: RunDirectory,
        every: float,
        measure: Callable[[], dict[str, Any]],
        save: Callable[[Path], None],
        best_by: tuple[str, str] = ("loss", "min"),
        patience: int | None = None,
        on_patience_spent: Callable[[], None] = lambda: None,
        writes: bool = True,
        measures: bool = True,
    ) -> None:
        super().__init__()
        self._run = run
        self._every = every
        self._measure = measure
        self._save = save
        self._best_by = best_by
        self._patience = patience
        self.on_patience_spent = on_patience_spent
        self._writes = writes
        self._measures = measures
        self._step = 0

    def forget_after(self, step: int) -> None:
        """Drops the evaluations of steps after `step`, which an interrupted run repeats; `best` stays, as `best/` does.

        Where the repeated steps give other values, as on other devices, only a better model replaces that in `best/`.
        """
        results = self._run.results
        done = [entry for entry in results.get("evaluations", []) if entry["step"] <= step]
        self._run.add_results(evaluations=done, best=results.get("best"))

    @property
    def patience_spent(self) -> bool:
        """Whether the last `patience` evaluations brought no improvement over the best."""
        results = self._run.results
        if self._patience is None or not results.get("best"):
            return False
        return sum(entry["step"] > results["best"]["step"] for entry in results["evaluations"]) >= self._patience

    def on_train_begin(self, logs: Any = None) -> None:
        self._step = steps_taken(self.model)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        before, self._step = self._step, steps_taken(self.model)
        if self._step // self._every != before // self._every and self._measures:
            self.evaluate(self._step)

    def evaluate(self, step: int) -> None:
        """Evaluates now, unless the last evaluation was at `step` already."""
        evaluations = self._run.results.get("evaluations", [])
        if evaluations and evaluations[-1]["step"] == step:
            return
        results = {"step": step, **self._measure()}
        best = self._run.results.get("best")
        # The best model is written before it is recorded: a run that is killed in between evaluates again.
        if best is None or self._is_better(results, best):
            if self._writes:
                self._save(self._run.folder / BEST_FOLDER)
            best = results
        self._run.add_results(evaluations=[*evaluations, results], best=best, best_by=list(self._best_by))
        if self._writes:
            numbers = {name: value for name, value in results.items() if isinstance(value, float)}
            line = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            print_progress(f"held out at step {step}: {line}")
        if self.patience_spent:
            self.on_patience_spent()

    def _is_better(self, results: dict[str, Any], best: dict[str, Any]) -> bool:
        name, wanted = self._best_by
        new, old = results.get(name), best.get(name)
        if not (_is_number(new) and _is_number(old)):
            return _is_number(new)
        return new > old if wanted == "max" else new < old


def _is_number(value: Any) -> bool:
    """Whether a result is defined: the correlation of constant predictions and the loss of a diverged model are not."""
    return value is not None and not math.isnan(value)
