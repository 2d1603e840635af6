"""The worst errors of an evaluation and what was taken for what, on the screen; knows no single task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from keras_bert_scratch.commands.tables import grid_of

if TYPE_CHECKING:
    from keras_bert_scratch.tasks.error_analysis import Confusion
    from keras_bert_scratch.tasks.evaluation import Evaluation

MOST_PAIRS = 20  # of labels, where a whole confusion matrix is wider than the screen
LEAST_TEXT = 24  # characters that are left for the text
NARROW = 8  # what a column has in any case
BORDER = 3  # characters between two columns


def print_errors(evaluation: Evaluation, number: int) -> None:
    """The `number` worst errors, each with what is right, the answer, and its text as far as the screen is wide.

    Below them, where the task has such a table: how often each label was taken for which, or found and missed.
    """
    from keras_bert_scratch.tasks.error_analysis import ByGroup, ByLabel, Confusion

    errors = evaluation.errors()
    shown = errors[:number]
    print(f"errors: {len(errors):,} of {len(evaluation.examples):,} rows{', the worst first' * (len(errors) > 1)}")
    console = Console()
    if shown:
        rows = [[f"{row + 1:,}", *map(_cell, error.shown.values())] for row, error in shown]
        texts = [_text(evaluation.lines[row], evaluation.columns) for row, _ in shown]
        console.print(_list(["row", *shown[0][1].shown], rows, texts, console.width))
    if isinstance(evaluation.breakdown, Confusion):
        console.print(_confusion(evaluation.breakdown, console.width))
    elif isinstance(evaluation.breakdown, ByLabel):
        console.print(grid_of("label", evaluation.breakdown.table))
    elif isinstance(evaluation.breakdown, ByGroup):
        console.print(grid_of(evaluation.breakdown.groups, evaluation.breakdown.table))


def _confusion(breakdown: Confusion, width: int) -> Table:
    """The matrix; where the screen is too narrow for it, the pairs of labels that are confused most."""
    matrix = grid_of("gold \\ answer", breakdown.table)
    if Console(width=10_000).measure(matrix).maximum <= width:
        return matrix
    table = Table("gold", "answer", "rows")
    for count, label, answer in breakdown.pairs[:MOST_PAIRS]:
        table.add_row(Text(label), Text(answer), f"{count:,}")
    return table


def _list(headings: list[str], rows: list[list[str]], texts: list[str], width: int) -> Table:
    """Cells of any length are broken, and the text is cut to what is left of the screen."""
    wanted = [max(map(cell_len, column)) for column in zip(headings, *rows, strict=True)]
    narrow = [column for column in wanted if column <= NARROW]
    room = width - LEAST_TEXT - sum(narrow) - BORDER * (len(wanted) + 1)
    widths = [min(column, max(NARROW, room // max(1, len(wanted) - len(narrow)))) for column in wanted]
    left = width - 1 - sum(column + BORDER for column in widths) - BORDER
    table = Table(
        *(Column(heading, width=column, overflow="fold") for heading, column in zip(headings, widths, strict=True)),
        Column("text", width=max(left, LEAST_TEXT), no_wrap=True, overflow="ellipsis"),
    )
    for cells, text in zip(rows, texts, strict=True):
        table.add_row(*map(Text, cells), Text(text))
    return table


def _cell(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _text(line: Mapping[str, Any], columns: tuple[str, ...]) -> str:
    """What the model read, on one line."""
    parts = (line[column] if isinstance(line[column], str) else " ".join(line[column]) for column in columns)
    return " ".join(" | ".join(parts).split())
