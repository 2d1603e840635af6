"""The results of the demo, as tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from keras_bert_scratch.training.run_directory import read_run

PRETRAINING_ROWS = (
    ("masked words: loss", "masked_lm_loss", "{:.3f}"),
    ("masked words: accuracy", "masked_lm_accuracy", "{:.1%}"),
    ("next sentence: accuracy", "next_sentence_accuracy", "{:.1%}"),
    ("next sentence: majority class", "next_sentence_majority", "{:.1%}"),
)


def print_report(console: Console, out: Path, memory: Mapping[str, Any], full_minutes: float) -> None:
    """Prints the results of pretraining and of the two tasks, and the time of each stage.

    Args:
        console: rich's Console.
        out: Path. The demo's folder.
        memory: mapping. The content of `demo.json`.
        full_minutes: float. The smallest budget with which the tasks use all their labels.
    """
    pretrained, sentiment = (read_run(out / folder)["results"] for folder in ("pretrained", "sentiment"))
    before, after = pretrained["held_out_before"], pretrained["held_out_after"]
    masks, scores = memory["masks"], memory["scores"]
    random, tuned = scores["order_from_random"], scores["order_from_pretrained"]

    table = _table("Pretraining, on held-out text and sentences of our own", "before", "after")
    for title, name, form in PRETRAINING_ROWS:
        table.add_row(title, form.format(before[name]), form.format(after[name]))
    table.add_section()
    for text, *words in zip(masks["texts"], masks["before"], masks["after"], strict=True):
        table.add_row(text.replace("[", r"\["), *map(", ".join, words))
    console.print(table)

    table = _table(f"Are two neighbouring words swapped? {_rows(out, 'order_')}", "accuracy")
    table.add_row("majority class", f"{random['majority']:.1%}")
    table.add_row("bag of words: TF-IDF, logistic regression", f"{scores['order_bag_of_words']:.1%}")
    table.add_row("BERT from random weights", _spread(random["accuracies"]))
    table.add_row("BERT from the pretrained weights", _spread(tuned["accuracies"]))
    console.print(table)
    print(verdict(random["accuracies"], tuned["accuracies"], random["examples"], memory["minutes"]))

    table = _table(f"Is a review's sentence positive? {_rows(out, '')}", "accuracy")
    table.add_row("majority class", f"{sentiment['dev']['majority']:.1%}")
    table.add_row("bag of words: TF-IDF, logistic regression", f"{scores['sentiment_bag_of_words']:.1%}")
    table.add_row("BERT from published pretrained weights", f"{sentiment['dev']['accuracy']:.1%}")
    console.print(table)
    if memory["minutes"] < full_minutes:
        print(f"In less than {full_minutes:g} minutes, both tasks use only a part of their labels.")

    seconds = memory["seconds"]
    stages = ", ".join(f"{name} {value:.0f}" for name, value in seconds.items())
    print(f"{sum(seconds.values()):.0f} s in total: {stages}")
    print(f"all results are in {out}/, the curves in curves.png; each command after $ runs one step on its own")
    print(f"live curves: tensorboard --logdir {out}")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", min_width=len(title) + 4)
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _rows(out: Path, prefix: str) -> str:
    """Describes the number of rows of the task's two tables; each row is a line."""
    train, held_out = (
        len((out / f"{prefix}{part}.csv").read_text(encoding="utf-8").splitlines()) - 1
        for part in ("train", "held_out")
    )
    return f"{train:,} labels, {held_out:,} held out"


def _spread(accuracies: Sequence[float]) -> str:
    return f"{statistics.mean(accuracies):.1%} ± {100 * statistics.stdev(accuracies):.1f}"


def verdict(random: Sequence[float], tuned: Sequence[float], examples: int, minutes: float) -> str:
    """Says whether the pretrained start is ahead by two standard errors, which cover seeds and sentences."""
    ahead = statistics.mean(tuned) - statistics.mean(random)
    error = math.sqrt(
        sum(
            statistics.variance(side) / len(side) + statistics.mean(side) * (1 - statistics.mean(side)) / examples
            for side in (random, tuned)
        )
    )
    counted = f"{100 * ahead:+.1f} points, standard error {100 * error:.1f}, {len(random)} seeds each (± is their sd)"
    if ahead > 2 * error:
        return f"Pretraining helps: {counted}."
    return f"{minutes:g} minutes do not show that pretraining helps: {counted}; give it more minutes."
