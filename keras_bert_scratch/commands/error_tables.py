"""The worst errors of an evaluation and what was taken for what, on the screen; knows no single task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_bert_scratch.commands.tables import grid_of

if TYPE_CHECKING:
    from keras_bert_scratch.tasks.error_analysis import Confusion
    from keras_bert_scratch.tasks.evaluation import Evaluation

MOST_PAIRS = 20  # of labels, where a whole confusion matrix is wider than the screen
WIDEST_PART = 3  # a column takes at most this part of the screen, the text what is left
LEAST_TEXT = 24  # characters


def print_errors(evaluation: Evaluation, number: int) -> None:
    """The `number` worst errors, each with what is right, the answer, and its text as far as the screen is wide.

    Below them, where the task has such a table: how often each label was taken for which, or found and missed.
    """
    from keras_bert_scratch.tasks.error_analysis import ByLabel, Confusion

    errors = evaluation.errors()
    shown = errors[:number]
    print(f"errors: {len(errors):,} of {len(evaluation.examples):,} rows{', the worst first' * (len(shown) > 1)}")
    console = Console()
    if shown:
        headings = list(shown[0][1].shown)
        table = Table()
        table.add_column("row", justify="right", no_wrap=True)
        for heading in headings:
            is_number = isinstance(shown[0][1].shown[heading], float)
            table.add_column(
                heading,
                justify="right" if is_number else "left",
                overflow="fold",
                no_wrap=is_number,
                max_width=None if is_number else max(8, (console.width - LEAST_TEXT) // len(headings)),
            )
        table.add_column("text", no_wrap=True, overflow="ellipsis", min_width=LEAST_TEXT)
        for row, error in shown:
            cells = [error.shown[heading] for heading in headings]
            text = _text(evaluation.lines[row], tuple(evaluation.examples.raw), console.width)
            table.add_row(f"{row + 1:,}", *(Text(_cell(cell)) for cell in cells), Text(text))
        console.print(table)
    if isinstance(evaluation.breakdown, Confusion):
        console.print(_confusion(evaluation.breakdown, console.width))
    elif isinstance(evaluation.breakdown, ByLabel):
        console.print(grid_of("label", evaluation.breakdown.table))


def _confusion(breakdown: Confusion, width: int) -> Table:
    """The matrix; where the screen is too narrow for it, the pairs of labels that are confused most."""
    matrix = grid_of("gold \\ answer", breakdown.table)
    if Console(width=10_000).measure(matrix).maximum <= width:
        return matrix
    table = Table("gold", "answer", "rows")
    for count, label, answer in breakdown.pairs[:MOST_PAIRS]:
        table.add_row(Text(label), Text(answer), f"{count:,}")
    return table


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _text(line: Mapping[str, Any], columns: tuple[str, ...], width: int) -> str:
    """What the model read, on one line, cut to what a screen can show."""
    parts = (line[column] if isinstance(line[column], str) else " ".join(line[column]) for column in columns)
    return " ".join(" | ".join(part[: 4 * width] for part in parts).split())
