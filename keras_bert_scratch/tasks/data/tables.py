"""Tables of texts and labels for downstream tasks, read strictly: a row is either exactly as in the file or bad."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.cells import KINDS, cell_value
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.table_formats import IN_MEMORY, RawTable, opened_table

PAIR_ROLE, LABEL_ROLE = "text_pair", "label"
_SKIP = "or skip such rows with `on_bad_row='skip'`"


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that a task reads from a table.

    Args:
        name: `str`. Its role, and the first name to look for in the file: `"text"`, `"text_pair"`, `"label"`.
        aliases: `tuple[str, ...]`, default `()`. Further names, in the order in which they are tried.
        required: `bool`, default `True`. Whether a file without this column is an error.
        kind: `str`, default `"text"`. Type of a cell. `"text"`: a string, unchanged, possibly empty. `"label"`: a name,
            without surrounding blanks. `"number"`: a finite float. `"labels"`: any number of distinct names; in JSON,
            Parquet and TensorFlow Datasets a list, elsewhere separated by commas. `"texts"`: a list of strings,
            unchanged, which CSV and TSV tables cannot hold. `"answers"`: a list of objects with `text` and
            `answer_start`.
        flag: `str`, default the name. The command-line flag that sets the column's name in the file: `text`, `pair` or
            `label`, for `--text-column` and so on.

    Example:
        >>> Column("text", ("sentence", "sentence1")).kind
        'text'
    """

    name: str
    aliases: tuple[str, ...] = ()
    required: bool = True
    kind: str = "text"
    flag: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"`kind`: {self.kind!r} is unknown; choose one of {', '.join(KINDS)}")
        if not self.flag:
            object.__setattr__(self, "flag", self.name)

    @property
    def role(self) -> str:
        """The column's key in the tasks' `header_names`."""
        return PAIR_ROLE if self.flag == "pair" else self.flag


def names_in_file(columns: Sequence[Column], header_names: Mapping[str, str], source: Any) -> dict[str, str]:
    """Maps these columns to their names in a file, in the form that `TableReader` accepts.

    Args:
        columns: the columns that a task reads.
        header_names: from role (`"text"`, `"text_pair"`, `"label"`) to name. `"label"` is ignored if no column has it.
        source: the table. Columns in memory may also have the default names; a `NamedTable` has its own `header_names`.

    Raises:
        UserError: none of these columns has the role.

    Example:
        >>> names_in_file([Column("question", flag="text")], {"text": "query", "label": "answer"}, "a.jsonl")
        {'question': 'query'}
    """
    if isinstance(source, NamedTable):
        header_names = source.header_names
    by_role = {column.role: column for column in columns}
    for role in header_names:
        if role not in by_role and role != LABEL_ROLE:
            read = ", ".join(column.name for column in columns)
            raise UserError(
                f"`{'pair' if role == PAIR_ROLE else role}_column`: this task reads only {read}; leave it out"
            )
    names = {by_role[role].name: name for role, name in header_names.items() if role in by_role}
    if isinstance(source, Mapping):
        return {role: name for role, name in names.items() if name in source}
    return names


@dataclasses.dataclass(frozen=True)
class Row:
    """One row of a table.

    Args:
        line: `int`. The line in which it starts, from 1; in Parquet and TensorFlow Datasets, the row number.
        values: `dict`. Values by role: `str`, `float` or a tuple.
    """

    line: int
    values: dict[str, Any]


class TableReader:
    r"""A table's rows, read as a stream: memory does not grow with the file.

    The ending of the name, in upper or lower case, determines the format: `.csv` (commas, RFC 4180), `.tsv` and `.txt`
    (tabs; quotes are plain text), `.jsonl` and `.json` (one object per line), each optionally followed by `.gz`,
    `.bz2`, `.xz` or `.zst`; `.parquet`; and `tfds:NAME/CONFIG:SPLIT`. Text is UTF-8, with or without a byte order mark.
    Rows end with a line feed, optionally preceded by a carriage return. Blank lines are not rows.

    A column is found by its role's name, else by the first alias that the file has; case and surrounding blanks are
    ignored. Columns without a role are not read.

    Args:
        path: `str`, `Path`, `NamedTable` or mapping. A table's file, or columns in memory by name.
        columns: sequence of `Column`.
        header_names: mapping from role to the column's name in the file, default `{}`.
        on_bad_row: `str`, default `"fail"`. `"fail"` raises at the first bad row, `"skip"` counts it in `skipped`. A
            malformed quoted cell that spans several lines is an error in either case, because it is unknown where the
            next row begins.

    Attributes:
        header_names: `dict`. From role to the file's name of each column that was found; set when reading begins.
        skipped: `collections.Counter`. How many rows were skipped, by reason; filled while reading.
        unit: `str`. The unit of row numbers, `"line"` or `"row"`; set when reading begins.

    Raises:
        UserError: while reading; the message names the file, the line, the fault and how to correct it.

    Example:
        >>> _ = Path("films.csv").write_text('Sentence,label\n"Good, really", pos\nBad,neg\n')
        >>> columns = [Column("text", ("sentence",)), Column("label", kind="label")]
        >>> [row.values for row in TableReader("films.csv", columns)]
        [{'text': 'Good, really', 'label': 'pos'}, {'text': 'Bad', 'label': 'neg'}]
    """

    def __init__(
        self,
        path: str | Path | NamedTable | Mapping[str, Sequence[Any]],
        columns: Sequence[Column],
        *,
        header_names: Mapping[str, str] | None = None,
        on_bad_row: str = "fail",
    ) -> None:
        if on_bad_row not in ("fail", "skip"):
            raise UserError(f"`on_bad_row`: {on_bad_row!r} is unknown; choose 'fail' or 'skip'")
        self._source = path if isinstance(path, (Mapping, NamedTable)) else str(path)
        file = path.path if isinstance(path, NamedTable) else path
        try:
            self.path = IN_MEMORY if isinstance(path, Mapping) else str(path_of(file))
        except TypeError:
            raise UserError(
                f"a table must be a path or columns by name, not {type(file).__name__}; "
                f"for a DataFrame give dict(frame)"
            ) from None
        self.columns = tuple(columns)
        self.header_names: dict[str, str] = {}
        self.skipped: collections.Counter[str] = collections.Counter()
        self._own_names = dict(header_names or {})
        self._skips = on_bad_row == "skip"
        self.unit = "line"
        roles = [column.name for column in self.columns]
        for role in self._own_names:
            if role not in roles:
                raise UserError(f"`{role}_column`: this task reads no column {role!r}, only {', '.join(roles)}")

    def __iter__(self) -> Iterator[Row]:
        self.skipped.clear()
        found: dict[str, str] | None = None
        num_rows = 0
        with opened_table(self._source) as table:
            self.unit = table.unit
            if table.names is not None:
                found = self._find(table.names)
            for line, record in table.records:
                if found is None and not isinstance(record, BadRow):
                    found = self._find(list(record))
                row = record if isinstance(record, BadRow) else self._converted(record, found, table)
                if isinstance(row, BadRow):
                    if not self._skips:
                        raise UserError(f"{self.path}: {table.unit} {line} {row.problem}; {row.fix}, {_SKIP}")
                    self.skipped[row.reason] += 1
                else:
                    num_rows += 1
                    yield Row(line, row)
        if not num_rows and self.skipped:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in self.skipped.most_common())
            raise UserError(f"{self.path}: every row is bad ({reasons}); correct the file")
        if not num_rows:
            raise UserError(f"{self.path}: holds no rows; give a table with rows below its header")

    def _find(self, names: list[str]) -> dict[str, str]:
        """Maps each role to the name of its column among `names`."""
        by_bare_name: dict[str, str] = {}
        for name in names:
            if _bare(name) in by_bare_name:
                raise UserError(f"{self.path}: names the column {name.strip()!r} twice; rename one of the two")
            if _bare(name):
                by_bare_name[_bare(name)] = name
        listed = ", ".join(repr(name.strip()) for name in names) or "nothing"
        found: dict[str, str] = {}
        for column in self.columns:
            own = self._own_names.get(column.name)
            flag = f"`{column.flag}_column='...'`"
            wanted = (column.name, *column.aliases) if own is None else (own,)
            name = next((by_bare_name[_bare(name)] for name in wanted if _bare(name) in by_bare_name), None)
            if name is not None:
                found[column.name] = name
            elif own is not None:
                raise UserError(f"{self.path}: has no column {own!r}, but {listed}; name one with {flag}")
            elif column.required:
                raise UserError(
                    f"{self.path}: has no column {' or '.join(map(repr, wanted))}, but {listed}; rename the "
                    f"right one, or name it with {flag}"
                )
        for name, count in collections.Counter(found.values()).items():
            if count > 1:
                roles = " and ".join(role for role in found if found[role] == name)
                raise UserError(f"{self.path}: the column {name.strip()!r} cannot be {roles} at once; name another")
        self.header_names = {role: name.strip() for role, name in found.items()}
        return found

    def _converted(self, record: dict[str, Any], found: dict[str, str], table: RawTable) -> dict[str, Any] | BadRow:
        values = {}
        for column in self.columns:
            name = found.get(column.name)
            if name is None:
                if table.names is None and (late := {column.name, *column.aliases} & set(record)):
                    return BadRow(
                        "surplus key",
                        f"has {min(late)!r}, which earlier rows do not have",
                        "give it in every row or in none",
                    )
                continue
            if name not in record:
                return BadRow("missing key", f"has no {name!r}, which earlier rows have", "give it in every row")
            value = cell_value(record[name], column.kind, table.typed)
            if isinstance(value, BadRow):
                return value._replace(problem=f"{value.problem} in the column {name.strip()!r}")
            values[column.name] = value
        return values


@dataclasses.dataclass(frozen=True)
class Table:
    """A whole table in memory.

    Args:
        path: `str`. The path it was read from.
        columns: `dict[str, list]`. The values by role; roles without a column in the file are absent.
        lines: `list[int]`. The number of the line, or row, in which each row starts.
        header_names: `dict[str, str]`. From role to the column's name in the file.
        skipped: `collections.Counter`. How many rows were skipped, by reason.
        unit: `str`. The unit of `lines`: `"line"` or `"row"`.
    """

    path: str
    columns: dict[str, list[Any]]
    lines: list[int]
    header_names: dict[str, str]
    skipped: collections.Counter[str]
    unit: str

    def __len__(self) -> int:
        return len(self.lines)

    def rows(self, numbers: Sequence[int], skipped: collections.Counter[str]) -> Table:
        """The table with only the rows at these positions; `skipped` counts the dropped rows by reason."""
        columns = {role: [values[number] for number in numbers] for role, values in self.columns.items()}
        lines = [self.lines[number] for number in numbers]
        return dataclasses.replace(self, columns=columns, lines=lines, skipped=self.skipped + skipped)

    @property
    def sha256(self) -> str:
        """A digest of the values, independent of the file, its format and its column names."""
        digest = hashlib.sha256()
        for role, values in sorted(self.columns.items()):
            digest.update(json.dumps([role, values]).encode())
        return digest.hexdigest()


def read_table(
    path: str | Path | NamedTable | Mapping[str, Sequence[Any]],
    columns: Sequence[Column],
    *,
    header_names: Mapping[str, str] | None = None,
    on_bad_row: str = "fail",
) -> Table:
    r"""Reads a whole table; arguments and errors are the same as for `TableReader`.

    Example:
        >>> _ = Path("films.tsv").write_text("sentence\tlabel\nGood\tpos\nBad\n")
        >>> columns = [Column("text", ("sentence",)), Column("label", kind="label")]
        >>> table = read_table("films.tsv", columns, on_bad_row="skip")
        >>> table.columns, table.lines, dict(table.skipped)
        ({'text': ['Good'], 'label': ['pos']}, [2], {'number of cells': 1})
    """
    reader = TableReader(path, columns, header_names=header_names, on_bad_row=on_bad_row)
    rows = list(reader)
    values = {role: [row.values[role] for row in rows] for role in reader.header_names}
    return Table(reader.path, values, [row.line for row in rows], reader.header_names, reader.skipped, reader.unit)


def _bare(name: str) -> str:
    return name.strip().casefold()
