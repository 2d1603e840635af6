"""Repetition of a trial with several seeds: the mean results and their confidence intervals."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from scipy import stats

from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tasks.evaluation import DIGITS
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.trial import Trial
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.strategies import is_chief

CONFIDENCE = 0.95


def repeat(trial: Trial, out: AnyPath, seeds: Sequence[int]) -> RunDirectory:
    """Runs the trial with each seed in a folder `seed-N` of `out`; a single seed runs in `out` itself.

    The results contain `dev_by_seed`; `dev`, the means; `dev_over_seeds`, the `spread` of each metric; `best_seed`. The
    best run's model is saved in `out`.

    Args:
        trial: Trial. What to run.
        out: path. The folder; finished runs in it are not repeated.
        seeds: sequence of int.

    Returns: the finished run.
    """
    if len(seeds) == 1:
        return trial.run(out, seeds[0])
    chief = is_chief(trial.strategy)
    with RunDirectory(out, {**trial.settings, "seeds": list(seeds)}, writes=chief) as summary:
        if summary.finished:
            return summary
        trial.record_baselines(summary)
        runs = {seed: trial.run(out / f"seed-{seed}", seed) for seed in seeds}
        by_seed = {str(seed): run.results.get("dev") for seed, run in runs.items()}
        results: dict[str, Any] = {"dev_by_seed": by_seed}
        best = seeds[0]
        if measured := [found for found in by_seed.values() if found]:
            results |= _means(measured)
            best = max(runs, key=lambda seed: selection_score(by_seed[str(seed)], trial.task.best_by))
            if tuned := [run.results["tuned_on_dev"] for run in runs.values() if "tuned_on_dev" in run.results]:
                results["tuned_on_dev"] = _means(tuned)["dev"]
        if chief:
            FineTuned.load(runs[best].path).save(summary.folder)
        summary.finish({**results, "best_seed": best})
    return summary


def selection_score(results: Mapping[str, Any], best_by: tuple[str, str]) -> float:
    """The metric that decides, with the sign that makes the highest the best; -inf if it is undefined."""
    name, wanted = best_by
    if not is_defined(value := results.get(name)):
        return -math.inf
    return value if wanted == "max" else -value


def is_defined(value: Any) -> bool:
    """Whether a result is finite; a correlation of equal predictions and the loss of a diverged model are not."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def spread(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean, standard deviation, and 95% confidence interval of the mean, by Student's t distribution.

    The interval covers only the choice of seeds; it says nothing about other dev data.

    Args:
        values: one for each seed.

    Example:
        >>> spread([0.5, 0.6, 0.7])
        {'mean': 0.6, 'sd': 0.1, 'low': 0.3516, 'high': 0.8484, 'seeds': 3}
    """
    mean, number = statistics.fmean(values), len(values)
    if number < 2:
        return {"mean": round(mean, DIGITS), "sd": None, "low": None, "high": None, "seeds": number}
    sd = statistics.stdev(values)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, number - 1)) * sd / math.sqrt(number)
    found = {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half}
    return {**{name: round(value, DIGITS) for name, value in found.items()}, "seeds": number}


def _means(measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """For every numeric metric: its mean and its spread over the runs in which it is defined."""
    values = {
        name: [results[name] for results in measured if is_defined(results.get(name))]
        for name in measured[0]
        if name != "examples"
    }
    spreads = {name: spread(found) for name, found in values.items() if found}
    means = {name: found["mean"] for name, found in spreads.items()}
    return {"dev": {**means, "examples": measured[0]["examples"]}, "dev_over_seeds": spreads}
