"""Headers: if the ending of a file leaves open whether it is a table, its first line must name a column."""

from __future__ import annotations

from collections.abc import Sequence

from keras_bert_scratch.data.corpus.streams import opened
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.lines import read_lines
from keras_bert_scratch.tasks.data.tables import Column


def first_line_cells(path: str) -> list[str]:
    """The tab-separated cells of a file's first line; `[]` for a pipe, which can be read only once."""
    if not path_of(path).is_file():
        return []
    with opened(path) as stream:
        first = next(read_lines(path, stream), None)
    return first.text.rstrip("\r\n").split("\t") if first else []


def names_column(cells: Sequence[str], column: Column) -> bool:
    """Whether these cells are a header that names the column.

    Example:
        >>> names_column(["id", "Sentence "], Column("text", ("sentence",)))
        True
    """
    return any(cell.strip().casefold() in (column.name, *column.aliases) for cell in cells)
