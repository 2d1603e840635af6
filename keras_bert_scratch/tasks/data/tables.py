"""TEMPORARY."""
from __future__ import annotations
import csv, dataclasses, hashlib, json, math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from keras_bert_scratch.errors import UserError

@dataclasses.dataclass(frozen=True)
class Column:
    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    kind: str = "text"

@dataclasses.dataclass(frozen=True)
class Row:
    line: int
    values: dict[str, Any]

@dataclasses.dataclass
class Table:
    columns: dict[str, list]
    lines: list[int]
    header_names: dict[str, str]
    skipped: Counter
    path: Any = None

def read_rows(path, columns, *, header_names={}, on_bad_row="fail", skipped=None) -> Iterator[Row]:
    with open(path, newline="") as f:
        reader = csv.DictReader(f)
        names = {}
        for c in columns:
            cands = [header_names[c.name]] if c.name in header_names else [c.name, *c.aliases]
            found = next((n for n in cands if n in (reader.fieldnames or [])), None)
            if found is None and c.required:
                raise UserError(f"{path}: lacks the column {c.name}")
            if found: names[c.name] = found
        read_rows.names = names
        for row in reader:
            yield Row(reader.line_num, {r: (float(row[n]) if next(c for c in columns if c.name==r).kind=="number" else [x for x in row[n].split(",") if x] if next(c for c in columns if c.name==r).kind=="labels" else row[n]) for r, n in names.items()})

def read_table(path, columns, *, header_names={}, on_bad_row="fail"):
    rows = list(read_rows(path, columns, header_names=header_names))
    return Table({r: [x.values[r] for x in rows] for r in read_rows.names}, [x.line for x in rows], dict(read_rows.names), Counter(), path)
def label_order(names):
    names = set(names)
    try: return tuple(sorted(names, key=int))
    except ValueError: return tuple(sorted(names))
def check_labels(table, labels, known, rows=None):
    for i, l in enumerate(labels):
        if l not in known:
            row = rows[i] if rows else i
            raise UserError(f"{table.path}: line {table.lines[row]} has the label {l!r}, which is none of {', '.join(known)}")
