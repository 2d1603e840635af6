"""Columns in memory, checked as those of a file are."""

from __future__ import annotations

import collections
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.tables import Column, Table

ORIGIN = "columns in memory"


def table_of(source: Mapping[str, Sequence[Any]], columns: Iterable[Column]) -> Table:
    """The table of some columns.

    Args:
        source: mapping of a column's name to its values, equally long; lists, numpy arrays or the like.
        columns: which of them to take. Texts are strings; labels strings or whole numbers; numbers finite; several
            labels a list of such.

    Raises:
        UserError: a column is missing or longer than another, or a value is not of its kind; names column and row.

    Example:
        >>> table_of({"text": ["a", "b"], "label": [1, 0]}, [Column("text"), Column("label", kind="label")]).columns
        {'text': ['a', 'b'], 'label': ['1', '0']}
    """
    found: dict[str, list[Any]] = {}
    for column in columns:
        name = next((name for name in (column.name, *column.aliases) if name in source), None)
        if name is not None:
            found[column.name] = [_value(column, row, value) for row, value in enumerate(_listed(name, source[name]))]
        elif column.required:
            raise UserError(f"columns: lack '{column.name}'; there are {', '.join(map(str, source)) or 'none'}")
    lengths = {name: len(values) for name, values in found.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise UserError(f"columns: must be equally long, not {said}")
    lines = list(range(next(iter(lengths.values()), 0)))
    if not lines:
        raise UserError("columns: hold no rows; give labelled texts")
    return Table(found, lines, {name: name for name in found}, collections.Counter(), ORIGIN)


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, (str, bytes)):
        raise UserError(f"columns: '{name}' is a single text; give a list")
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _value(column: Column, row: int, value: Any) -> Any:
    where = f"columns: row {row} of '{column.name}'"
    if column.kind == "text":
        if not isinstance(value, str):
            raise UserError(f"{where} is {value!r}, not a text; give a string, or leave the row out")
        return value
    if column.kind == "number":
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
            raise UserError(f"{where} is {value!r}, not a finite number")
        return float(value)
    if column.kind == "labels":
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise UserError(f"{where} is {value!r}; give a list of labels")
        return [_label(where, name) for name in value]
    return _label(where, value)


def _label(where: str, value: Any) -> str:
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return str(int(value))
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{where} is {value!r}; a label is a name or a whole number")
    return value.strip()
