"""The results on GLUE, as one table beside the published figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from keras_bert_scratch.filesystem import AnyPath, path_of

METRICS = {
    "matthews": "Matthews",
    "f1": "F1",
    "accuracy": "accuracy",
    "pearson": "Pearson",
    "spearman": "Spearman",
}
WIDTH = 90  # so that no row wraps, even without a terminal


def print_glue(results: Mapping[str, Any], out: AnyPath | str) -> None:
    """Prints the table, and below it the notes that are needed to read it.

    Args:
        results: what `glue` returned.
        out: path. The folder of the results.
    """
    published = results["published"]
    table = Table("task", "metric", title=f"GLUE: {path_of(out)}", title_justify="left")
    for heading in ("dev", "majority", *map(_short, published["figures"])):
        table.add_column(heading, justify="right", no_wrap=True)
    for task in results["tasks"].values():
        for row in _rows(task, published["figures"]):
            table.add_row(*row)
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    for note in notes(results):
        print(note)
    print(f"all results: {path_of(out)} (glue.json, and a run folder for each task)")


def _rows(task: Mapping[str, Any], figures: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, measured in task["sets"].items():
        for number, (metric, score) in enumerate(measured["metrics"].items()):
            others = (by_set[name][number] if name in by_set else None for by_set in figures.values())
            yield (
                "" if number else name,
                METRICS[metric],
                shown(score),
                percent(measured["majority"][metric]),
                *("-" if figure is None else f"{figure:.1f}" for figure in others),
            )
    if not task["sets"]:  # no labels: there is only the file for GLUE's server
        yield from ((name, "no labels", *["-"] * (2 + len(figures))) for name in task["submission"])


def shown(score: Mapping[str, Any]) -> str:
    """Formats mean and standard deviation in percent.

    Example:
        >>> shown({"mean": 0.8123, "sd": 0.004}), shown({"mean": None, "sd": None})
        ('81.2 ± 0.4', '-')
    """
    return percent(score["mean"]) + ("" if score["sd"] is None else f" ± {100 * score['sd']:.1f}")


def percent(value: float | None) -> str:
    """Formats a fraction in percent with one decimal; `-` if it is undefined."""
    return "-" if value is None else f"{100 * value:.1f}"


def _short(model: str) -> str:
    return model.removeprefix("BERT-")


def notes(results: Mapping[str, Any]) -> Iterator[str]:
    """Yields notes on the table: sources of the figures, undefined metrics, tasks left out, files written."""
    names = ", ".join(map(_short, results["published"]["figures"]))
    yield (
        f"dev: our scores on the dev set, at the best epoch. {names}: published scores on the test sets, by GLUE's "
        "server."
    )
    yield results["published"]["sources"]
    sets = {name: one for task in results["tasks"].values() for name, one in task["sets"].items()}
    for name, measured in sets.items():
        for metric, score in measured["metrics"].items():
            undefined = score["by_seed"].count(None)
            if undefined:
                seeds = "" if len(score["by_seed"]) == 1 else f" for {undefined} of {len(score['by_seed'])} seeds"
                yield f"{name}: {METRICS[metric]} is undefined{seeds}: all answers, or all labels of dev, are the same."
    if "WNLI" in sets:
        majority, score = sets["WNLI"]["majority"]["accuracy"], sets["WNLI"]["metrics"]["accuracy"]["mean"]
        below = "; lower scores are usual, because dev has sentences of train with the other label"
        yield f"WNLI: the majority class gives {percent(majority)}{below if score < majority else ''}."
    for name, task in results["tasks"].items():
        if zero_shot := task["three_class_init"]:
            yield (
                f"{name}: {percent(zero_shot['accuracy'])} before fine-tuning, from the three classes of "
                f"{results['init']}, with neutral and contradiction as not_entailment."
            )
    if left_out := results["left_out"]:
        yield f"left out: {', '.join(left_out)}."
    if files := [file["file"] for task in results["tasks"].values() for file in task["submission"].values()]:
        yield f"for GLUE's server: {', '.join(files)}."
