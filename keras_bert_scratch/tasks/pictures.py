"""Pictures of what was taken for what: a confusion matrix, scores by label, numbers beside answers."""

from __future__ import annotations

import functools
import textwrap
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByLabel, Confusion, Scatter

NAME_LENGTH = 28  # characters of a label
MOST_COUNTED = 30  # labels up to which a confusion matrix has numbers in its cells
LEAST_HEIGHT, MOST_HEIGHT = 3.0, 40.0  # inches
DOTS_PER_INCH = 120
PLAIN = {"parse_math": False}  # a label or a file may have a dollar in its name
NUM_SOLID_POINTS = 500  # of so many each is well seen; of more they are made transparent


def draw(breakdown: Breakdown, title: str, picture: AnyPath | str) -> None:
    """Draws `breakdown` to the PNG `picture`.

    Args:
        breakdown: what a task's `breakdown` gave.
        title: str.
        picture: path or address. Must not exist yet.

    Raises:
        UserError: something is there, or the disk refuses it.
    """
    atomic.check_is_free(picture)
    figure = figure_of(breakdown, title)
    with atomic.write(picture) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")


def figure_of(breakdown: Breakdown, title: str) -> Any:
    """The same as matplotlib's figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    _draw(breakdown, figure, figure.subplots())
    characters = int(figure.get_size_inches()[0] * 10)
    figure.suptitle("\n".join(textwrap.wrap(title, characters)), fontsize=10, **PLAIN)
    return figure


def check_name(picture: AnyPath | str) -> None:
    """Raises `UserError` unless `picture` can be written and is called as what it will be."""
    if path_of(picture).suffix.lower() != ".png":
        raise UserError(f"`picture`: is a PNG, so give it a name that ends in .png, not {path_of(picture).name!r}")
    atomic.check_is_free(picture)


@functools.singledispatch
def _draw(breakdown: Any, figure: Any, axes: Any) -> None:
    raise TypeError(f"{type(breakdown).__name__} has no picture")


@_draw.register
def _confusion(breakdown: Confusion, figure: Any, axes: Any) -> None:
    """Colours are fractions of a row, so that a rare label's errors are as well seen as a frequent one's; and by their
    root, so that a few errors are seen beside many right answers."""
    from matplotlib.colors import PowerNorm

    counts = breakdown.counts
    number, support = len(counts), counts.sum(axis=1)
    names = [_short(label) for label in breakdown.labels]
    margin = 0.09 * max(map(len, names))
    side = number * (0.45 if number <= MOST_COUNTED else 0.12)
    figure.set_size_inches(max(side + margin + 2.0, 4.5), max(side + 0.7 * margin + 1.4, LEAST_HEIGHT))
    fractions = counts / np.maximum(support, 1)[:, None]
    image = axes.imshow(fractions, cmap="Blues", norm=PowerNorm(0.5, 0.0, 1.0))
    figure.colorbar(image, ax=axes, label="fraction of the row", shrink=0.8)
    size = 9 if number <= 12 else 8 if number <= MOST_COUNTED else 6
    turned = (number > 2 and sum(map(len, names)) > 6 * number) or max(map(len, names)) > 10
    angle = 45 if number <= MOST_COUNTED else 90
    turn = {"rotation": angle, "ha": "right", "va": "center", "rotation_mode": "anchor"} if turned else {}
    with_rows = [f"{name} ({rows:,})" for name, rows in zip(names, support, strict=True)]
    axes.set_xticks(range(number), names, fontsize=size, **turn, **PLAIN)
    axes.set_yticks(range(number), with_rows, fontsize=size, **PLAIN)
    axes.set_xlabel("answer")
    axes.set_ylabel("gold (rows)")
    if number <= MOST_COUNTED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if fractions[row, column] > 0.35 else "black"
            count = f"{counts[row, column]:,}"
            axes.text(
                column, row, count, ha="center", va="center", color=colour, fontsize=size - max(0, len(count) - 3)
            )


@_draw.register
def _by_label(breakdown: ByLabel, figure: Any, axes: Any) -> None:
    table = breakdown.table
    figure.set_size_inches(7.0, float(np.clip(0.42 * len(table) + 1.6, LEAST_HEIGHT, MOST_HEIGHT)))
    at = np.arange(len(table))
    for number, (name, colour) in enumerate((("precision", "#9ecae1"), ("recall", "#4292c6"), ("f1", "#08306b"))):
        values = [scores[name] for scores in table.values()]
        told = "f1, at the right" if name == "f1" else name
        axes.barh(at + 0.25 * (number - 1), values, height=0.24, color=colour, label=told)
    there = [scores["right"] + scores["missed"] for scores in table.values()]
    names = [f"{_short(label)} ({number:,})" for label, number in zip(table, there, strict=True)]
    axes.set_yticks(at, names, fontsize=9, **PLAIN)
    for row, scores in enumerate(table.values()):
        axes.text(1.01, row, f"{scores['f1']:.2f}", va="center", fontsize=9)
    axes.set_ylim(len(table) - 0.5, -0.5)  # the first on top
    axes.set_xlim(0.0, 1.0)
    axes.set_ylabel("label (in gold)")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)


@_draw.register
def _scatter(breakdown: Scatter, figure: Any, axes: Any) -> None:
    figure.set_size_inches(5.5, 5.2)
    alpha = max(0.1, min(0.7, 0.7 * NUM_SOLID_POINTS / len(breakdown.true)))
    axes.scatter(breakdown.true, breakdown.given, s=14, alpha=alpha, linewidths=0)
    axes.axline((0.0, 0.0), slope=1.0, color="grey", linewidth=1.0, zorder=0)
    axes.set_xlabel("gold")
    axes.set_ylabel("answer")
    axes.grid(alpha=0.3)


def _short(label: str) -> str:
    """Cut in the middle, as long names often differ at their end."""
    half = NAME_LENGTH // 2
    return label if len(label) <= NAME_LENGTH else f"{label[:half]}…{label[-half:]}"
