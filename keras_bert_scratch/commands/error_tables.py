"""The worst errors and the confusion matrix of an evaluation, on the screen; independent of the task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from keras_bert_scratch.commands.tables import console_for_tables, grid_of

if TYPE_CHECKING:
    from keras_bert_scratch.tasks.error_analysis import Confusion
    from keras_bert_scratch.tasks.evaluation import Evaluation

MOST_PAIRS = 20  # of confused labels, if the confusion matrix is wider than the screen
LEAST_TEXT = 24  # characters of the text column at least
NARROW = 8  # characters that every other column keeps if it needs them
BORDER = 3  # characters between two columns


def print_errors(evaluation: Evaluation, number: int) -> None:
    """Prints the `number` worst errors, each with the right answer, the given one, and as much text as fits the screen.

    Below them, if the task has one, comes the confusion matrix, or a table of metrics by label or group.
    """
    from keras_bert_scratch.tasks.error_analysis import ByGroup, ByLabel, Confusion

    errors = evaluation.errors()
    shown = errors[:number]
    print(f"errors: {len(errors):,} of {len(evaluation.examples):,} rows{', worst first' * (len(errors) > 1)}")
    console = console_for_tables()
    if shown:
        rows = [[f"{row + 1:,}", *map(_cell, error.shown.values())] for row, error in shown]
        texts = [_text(evaluation.lines[row], evaluation.columns) for row, _ in shown]
        console.print(_list(["row", *shown[0][1].shown], rows, texts, console.width))
    if isinstance(evaluation.breakdown, Confusion):
        _print_confusion(evaluation.breakdown, console)
    elif isinstance(evaluation.breakdown, ByLabel):
        console.print(grid_of("label", evaluation.breakdown.table))
    elif isinstance(evaluation.breakdown, ByGroup):
        console.print(grid_of(evaluation.breakdown.groups, evaluation.breakdown.table))


def _print_confusion(breakdown: Confusion, console: Console) -> None:
    """Prints the matrix, or, if the screen is too narrow for it, the pairs of labels that are confused most."""
    matrix = grid_of("gold \\ answer", breakdown.table)
    if Console(width=10_000).measure(matrix).maximum <= console.width:
        console.print(matrix)
        return
    table = Table(*(Column(heading, overflow="fold") for heading in ("gold", "answer", "rows")))
    for count, label, answer in breakdown.pairs[:MOST_PAIRS]:
        table.add_row(Text(label), Text(answer), f"{count:,}")
    console.print(table)
    if len(breakdown.pairs) > MOST_PAIRS:
        print(f"the {MOST_PAIRS} most frequent of {len(breakdown.pairs):,} pairs of labels")


def _list(headings: list[str], rows: list[list[str]], texts: list[str], width: int) -> Table:
    """Returns a table in which long cells wrap, and the text is cut to the width that is left."""
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
    """Returns the model's input on one line."""
    parts = (line[column] if isinstance(line[column], str) else " ".join(line[column]) for column in columns)
    return " ".join(" | ".join(parts).split())
