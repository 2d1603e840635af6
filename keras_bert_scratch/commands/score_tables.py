"""Scores and their baselines, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TUNED = "tuned on dev"


def results_as_tables(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the results of fine-tuning with `dev` as tables: a row per metric, a column each for score and baselines.

    Over several seeds, the score becomes mean, standard deviation and the bounds of the confidence interval.

    Args:
        results: mapping. The results of a finished run.

    Example:
        >>> results_as_tables({"dev": {"accuracy": 0.9}, "baselines": {"majority": {"accuracy": 0.5}}})
        {'dev': {'accuracy': {'score': 0.9, 'majority': 0.5}}}
    """
    shown = dict(results)
    if best := shown.pop("best", None):
        shown["best_step"] = best["step"]
    if rows := shown.get("search"):  # the names are long, and repeat what the columns show
        best_run = shown["best_run"]
        numbered = zip(range(1, len(rows) + 1), rows, strict=True)
        shown["search"] = {
            f"{number} (best)" if name == best_run else f"{number}": rows[name] for number, name in numbered
        }
    if not (dev := shown.pop("dev", None)):
        return shown
    over_seeds, beside = shown.pop("dev_over_seeds", None), shown.pop("baselines", {})
    if tuned := shown.pop("tuned_on_dev", None):
        beside = {TUNED: tuned, **beside}
        for name, value in tuned.get("options", {}).items():
            by_label = isinstance(value, Mapping)
            shown[f"tuned_{name}"] = {label: {TUNED: found} for label, found in value.items()} if by_label else value
    shown["dev_examples"] = dev.get("examples")
    # A metric with a baseline's name, such as the majority of the dev data itself, would be confused with it.
    names = [
        name for name, value in dev.items() if not isinstance(value, Mapping) and name not in ("examples", *beside)
    ]
    if by_seed := shown.get("dev_by_seed"):
        shown["dev_by_seed"] = {seed: {name: found[name] for name in names} for seed, found in by_seed.items()}
    rows = _beside(over_seeds or _as_scores(dev), beside)
    shown["dev"] = {name.replace("_", " "): rows[name] for name in names}
    for name, values in dev.items():
        if isinstance(values, Mapping):
            among = {other: found.get(name, {}) for other, found in beside.items()}
            nested = any(isinstance(value, Mapping) for value in values.values())
            shown[f"dev_{name}"] = values if nested else _beside(_as_scores(values), among)
    return {name: value for name, value in shown.items() if value is not None}


def _beside(
    scores: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Adds to each row of scores the values that the others have under its name."""
    return {
        name: {**values, **{other: found.get(name) for other, found in others.items()}}
        for name, values in scores.items()
    }


def _as_scores(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {"score": value} for name, value in values.items()}
