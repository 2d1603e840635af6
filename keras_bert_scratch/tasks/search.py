"""Grid search: every combination of some values is a trial, and the best trial's model is kept."""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.fine_tuning import FineTuning
from keras_bert_scratch.tasks.repetition import repeat, selection_score
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.tasks.trial import Trial
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import is_chief

# What the paper tries for each task of GLUE (Devlin et al. 2019, appendix A.3).
PAPER_GRID = {"batch_size": (16, 32), "learning_rate": (5e-5, 3e-5, 2e-5), "epochs": (2.0, 3.0, 4.0)}

BEST_RUN_RESULTS = ("dev", "dev_over_seeds", "tuned_on_dev", "best_seed")

Grid = Mapping[str, Sequence[Any]]


def searchable(task: Task) -> dict[str, tuple[type, ...]]:
    """The names of the options that can be searched, each with the types that its value may have.

    Example:
        >>> found = searchable(get_task("classification"))
        >>> found["learning_rate"], found["class_weights"]
        ((<class 'float'>,), (<class 'str'>,))
    """
    hints = {**typing.get_type_hints(FineTuning), **typing.get_type_hints(task.Options)}
    return {
        name: tuple(k for k in typing.get_args(hint) if k is not NoneType) or (hint,) for name, hint in hints.items()
    }


def combinations(grid: Grid, task: Task) -> dict[str, dict[str, Any]]:
    """Every combination of the grid's values, by the name of its folder; the last option varies fastest.

    Raises:
        UserError: an option cannot be searched, or a value has a wrong type or is given twice.

    Example:
        >>> list(combinations({"batch_size": [16, 32], "epochs": [3.0]}, get_task("classification")))
        ['batch_size=16,epochs=3', 'batch_size=32,epochs=3']
    """
    known = searchable(task)
    for name, values in grid.items():
        if name not in known:
            raise UserError(f"`search`: {name!r} is unknown; choose among {', '.join(known)}")
        if isinstance(values, str) or not values:
            raise UserError(f"`search`: {name} needs a list of values, not {values!r}")
        for value in values:
            if not any(isinstance(value, (int, float) if kind is float else kind) for kind in known[name]):
                kinds = " or ".join(sorted(kind.__name__ for kind in known[name]))
                raise UserError(f"`search`: {name} needs values of type {kinds}, not {value!r}")
        if len({_written(value) for value in values}) < len(values):
            raise UserError(f"`search`: {name} has a value twice; leave one out")
    found = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return {",".join(f"{name}={_written(value)}" for name, value in values.items()): values for values in found}


def search_grid(
    grid: Grid, task: Task, trial_of: Callable[[Mapping[str, Any]], Trial], out: AnyPath, seeds: Sequence[int]
) -> RunDirectory:
    """Runs every combination of the grid's values in a folder of `out`, and keeps the best one's model.

    The best one is selected by the task's metric on the dev data, with several seeds by its mean; a combination whose
    metric is undefined for one seed ranks last. The results contain `search`, a row for each combination; `best_run`;
    and that run's results on `dev`.

    Args:
        grid: mapping. Values by the names of arguments of `FineTuning` and of the task's own options.
        task: Task.
        trial_of: returns the trial with the values of a combination.
        out: path. The folder; finished runs in it are not repeated.
        seeds: sequence of int. The seeds of each combination.

    Returns: the finished run.
    """
    combined = combinations(grid, task)
    trials = {name: trial_of(values) for name, values in combined.items()}  # all are checked before the first one runs
    first = next(iter(trials.values()))
    settings = {**first.settings, "search": {name: list(values) for name, values in grid.items()}, "seeds": list(seeds)}
    with RunDirectory(out, settings, writes=is_chief(first.strategy)) as summary:
        if summary.finished:
            return summary
        first.record_baselines(summary)
        runs = {name: repeat(trial, out / name, seeds) for name, trial in trials.items()}
        rows = {name: {**combined[name], **_score(run.results, task.best_by[0])} for name, run in runs.items()}
        best = max(runs, key=lambda name: _combination_score(runs[name].results, task.best_by, len(seeds)))
        told = {name: value for name, value in runs[best].results.items() if name in BEST_RUN_RESULTS}
        if is_chief(first.strategy):
            FineTuned.load(runs[best].path).save(summary.folder)
        summary.finish({"search": rows, "best_run": best, **told})
    return summary


def with_values(
    values: Mapping[str, Any], how: FineTuning, options: Mapping[str, Any]
) -> tuple[FineTuning, dict[str, Any]]:
    """`how` and the task's own options, updated with the values of a combination."""
    of_how = {field.name for field in dataclasses.fields(FineTuning)} & values.keys()
    how = dataclasses.replace(how, **{name: values[name] for name in of_how})
    return how, {**options, **{name: value for name, value in values.items() if name not in of_how}}


def _score(results: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The entries of a combination's row for its metric."""
    if "dev_over_seeds" not in results:
        return {metric: (results.get("dev") or {}).get(metric)}
    found = results["dev_over_seeds"].get(metric, {})
    return {metric: found.get("mean"), **{name: found.get(name) for name in ("sd", "low", "high", "seeds")}}


def _combination_score(results: Mapping[str, Any], best_by: tuple[str, str], seeds: int) -> float:
    defined = results.get("dev_over_seeds", {}).get(best_by[0], {}).get("seeds", seeds)
    return -math.inf if defined < seeds else selection_score(results.get("dev") or {}, best_by)


def _written(value: Any) -> str:
    """A value as part of a folder's name."""
    return urllib.parse.quote(f"{value:g}" if isinstance(value, float) else str(value), safe="")
