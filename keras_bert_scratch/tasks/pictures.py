"""Figures of breakdowns (confusion matrix, scores by label or group, predictions over gold) and of candidates."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from rich.cells import cell_len

from keras_bert_scratch.figures import (
    CHOSEN,
    NONE_CHOSEN,
    PLAIN,
    SHADES,
    beginning,
    cut_at_the_edge,
    finished,
    new_figure,
    whole_bar,
)
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByGroup, ByLabel, Confusion, Scatter
from keras_bert_scratch.text.vocabulary import MASK

NAME_LENGTH = 28  # characters of a label
MOST_OF_A_TEXT = 90  # columns of a terminal; a Chinese character takes two
BEFORE_A_MASK = 30  # columns
MOST_COUNTED = 30  # labels up to which a confusion matrix has numbers in its cells
LEAST_HEIGHT, MOST_HEIGHT = 3.0, 40.0  # inches
NUM_SOLID_POINTS = 500  # more points than this are drawn more transparent


def figure_of(breakdown: Breakdown, title: str) -> Any:
    """A matplotlib figure of the result of a task's `breakdown`.

    Args:
        breakdown: Breakdown. What to draw; its kind is the first line of the title.
        title: str. The model and the data.
    """
    figure = new_figure(5.0, 4.0)
    return finished(figure, f"{_draw(breakdown, figure, figure.subplots())}\n{title}")


@functools.singledispatch
def _draw(breakdown: Any, figure: Any, axes: Any) -> str:
    """Draws a breakdown and returns what the picture shows."""
    raise TypeError(f"{type(breakdown).__name__} has no picture")


@_draw.register
def _confusion(breakdown: Confusion, figure: Any, axes: Any) -> str:
    """Colours show fractions of a row, so that errors of rare labels are as visible as those of frequent ones; on a
    square-root scale, so that a few errors are visible next to many right answers."""
    from matplotlib.colors import PowerNorm

    counts = breakdown.counts
    number, support = len(counts), counts.sum(axis=1)
    names = _short(breakdown.labels)
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
    axes.set_xlabel("predicted label")
    axes.set_ylabel("gold label (rows)")
    if number <= MOST_COUNTED:
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if fractions[row, column] > 0.35 else "black"
            count = f"{counts[row, column]:,}"
            axes.text(
                column, row, count, ha="center", va="center", color=colour, fontsize=size - max(0, len(count) - 3)
            )
    return "Confusion matrix"


@_draw.register
def _by_label(breakdown: ByLabel, figure: Any, axes: Any) -> str:
    rows = breakdown.table.values()
    numbers = [scores["right"] + scores["missed"] for scores in rows]
    names = [f"{label} ({number:,})" for label, number in zip(_short(breakdown.table), numbers, strict=True)]
    bars = {name: [scores[name] for scores in rows] for name in ("precision", "recall", "f1")}
    _grouped_bars(figure, axes, names, bars, 1.0)
    axes.set_ylabel("label (number in gold)")
    return "Precision, recall and F1"


@_draw.register
def _by_group(breakdown: ByGroup, figure: Any, axes: Any) -> str:
    metrics = [name for name in next(iter(breakdown.table.values())) if name != "rows"]
    bars = {name.replace("_", " "): [row[name] for row in breakdown.table.values()] for name in metrics}
    rows = [row["rows"] for row in breakdown.table.values()]
    names = [f"{group} ({number:,})" for group, number in zip(_short(breakdown.table), rows, strict=True)]
    _grouped_bars(figure, axes, names, bars, breakdown.highest)
    axes.set_ylabel(f"{breakdown.groups} (rows)")
    named = " and ".join(bars)
    return f"{named[:1].upper()}{named[1:]} by {breakdown.groups}"


def _grouped_bars(
    figure: Any, axes: Any, names: list[str], bars: dict[str, list[float | None]], highest: float
) -> None:
    """For each name, a bar for each metric, and the last metric as a number at the right."""
    from matplotlib import colormaps

    most = max(len(bars), len(SHADES))
    colours = SHADES[-len(bars) :] if most == len(SHADES) else colormaps["Blues"](np.linspace(0.3, 1.0, most))
    figure.set_size_inches(7.0, float(np.clip(0.14 * most * len(names) + 1.6, LEAST_HEIGHT, MOST_HEIGHT)))
    at, last, room = np.arange(len(names)), list(bars)[-1], 0.75 / most
    for number, ((name, values), colour) in enumerate(zip(bars.items(), colours, strict=True)):
        told = f"{name} (number at the right)" if name == last else name
        middle = at + room * (number - (len(bars) - 1) / 2)
        axes.barh(middle, [value or 0.0 for value in values], height=0.96 * room, color=colour, label=told)
    for row, value in enumerate(bars[last]):
        told = "-" if value is None else f"{value:.2f}" if highest == 1.0 else f"{value:.1f}"
        axes.text(1.01, row, told, va="center", fontsize=9, transform=axes.get_yaxis_transform())
    axes.set_yticks(at, names, fontsize=9, **PLAIN)
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first on top
    axes.set_xlim(min(0.0, *(value or 0.0 for values in bars.values() for value in values)), highest)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=min(len(bars), len(SHADES)), fontsize=9)


@_draw.register
def _scatter(breakdown: Scatter, figure: Any, axes: Any) -> str:
    figure.set_size_inches(5.5, 5.2)
    alpha = max(0.1, min(0.7, 0.7 * NUM_SOLID_POINTS / len(breakdown.true)))
    axes.scatter(breakdown.true, breakdown.given, s=14, alpha=alpha, linewidths=0)
    if breakdown.same_scale:
        axes.axline((0.0, 0.0), slope=1.0, color="grey", linewidth=1.0, zorder=0)
    axes.set_xlabel("gold")
    axes.set_ylabel(breakdown.answer)
    axes.grid(alpha=0.3)
    return f"{breakdown.answer.capitalize()}s over gold"


@dataclasses.dataclass(frozen=True)
class Panel:
    """The candidates of one answer.

    Args:
        text: str. The text that was answered.
        probabilities: mapping. The probability of each candidate, in the order of the bars.
        chosen: strs or None, default None. The candidates to mark as the answer; `None` for no marks, because the
            answer is always the most probable candidate.
        left_out: int, default 0. Number of less probable candidates that are not among `probabilities`.
    """

    text: str
    probabilities: Mapping[str, float]
    chosen: Collection[str] | None = None
    left_out: int = 0

    @property
    def note(self) -> str:
        """What the bars do not say."""
        chosen = [] if self.chosen is None else [f"{CHOSEN} the answer" if self.chosen else NONE_CHOSEN]
        return "; ".join([*chosen, *[f"and {self.left_out:,} less probable ones"] * bool(self.left_out)])


def figure_of_candidates(panels: Sequence[Panel], title: str, exclusive: bool) -> Any:
    """A matplotlib figure of the candidates of answers: a panel of bars for each answer.

    Args:
        panels: Panels, one for each answer.
        title: str.
        exclusive: bool. Whether exactly one candidate is right; else each may be right or not.
    """
    heights = [0.7 + 0.26 * len(panel.probabilities) + 0.2 * bool(panel.note) for panel in panels]
    whole = whole_bar([value for panel in panels for value in panel.probabilities.values()], exclusive)
    figure = new_figure(7.0, sum(heights) + 0.7)
    titles = []
    grid = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=heights)
    for [axes], panel in zip(grid, panels, strict=True):
        chosen, bars = panel.chosen or (), panel.probabilities
        axes.barh(range(len(bars)), bars.values(), color=[SHADES[2 if name in chosen else 1] for name in bars])
        names = [
            f"{CHOSEN} {short}" if name in chosen else short for name, short in zip(bars, _short(bars), strict=True)
        ]
        axes.set_yticks(range(len(bars)), names, fontsize=9, **PLAIN)
        axes.set_ylim(len(bars) - 0.5, -0.5)  # the first on top
        for row, probability in enumerate(bars.values()):
            told = f"{probability:.3g}"
            axes.text(1.01, row, told, va="center", fontsize=9, transform=axes.get_yaxis_transform())
        axes.set_xlim(0.0, whole)
        titles.append(axes.set_title(_excerpt(panel.text), fontsize=9, loc="left", **PLAIN))
        unit = "probability" if axes is grid[-1][0] else ""
        axes.set_xlabel("; ".join(filter(None, [unit, panel.note])), fontsize=9)
        axes.grid(axis="x", alpha=0.3)
    finished(figure, title)
    cut_at_the_edge(figure, titles)
    return figure


def _excerpt(text: str) -> str:
    """As much of a text as fits: its beginning, or the part around its first `[MASK]`."""
    text = " ".join(text.split())
    at = text.find(MASK)
    start = at if at >= 0 and cell_len(text[:at]) > MOST_OF_A_TEXT - len(MASK) else 0
    while start and cell_len(text[start - 1 : at]) <= BEFORE_A_MASK:
        start -= 1
    return "… " * bool(start) + beginning(text[start:].lstrip(), MOST_OF_A_TEXT)


def _short(labels: Collection[str]) -> list[str]:
    """The labels, with the middle of long ones cut out, as long names often differ at their end.

    If two would look the same, all are cut less.
    """
    lines = [" ".join(label.split()) for label in labels]
    for half in range(NAME_LENGTH // 2, max(map(len, lines), default=0)):
        short = [line if len(line) <= 2 * half else f"{line[:half]}…{line[-half:]}" for line in lines]
        if len(set(short)) == len(set(lines)):
            return short
    return lines
