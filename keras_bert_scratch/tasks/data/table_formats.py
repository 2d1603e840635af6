"""The formats of tables: files in, numbered records out, with what is wrong with each record that is damaged."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from keras_bert_scratch.data.corpus.row_sources import TFDS_PREFIX, tfds_split
from keras_bert_scratch.data.corpus.streams import COMPRESSIONS, INSTALL_CORPORA, is_url, open_packed, opened
from keras_bert_scratch.errors import UserError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}

_ROWS_AT_ONCE = 1024
_OTHER_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}


class BadRow(NamedTuple):
    """What is wrong with one row.

    Args:
        reason: `str`. A name for this kind of fault, by which skipped rows are counted.
        problem: `str`. What is wrong with this row.
        mend: `str`. How to correct it.
    """

    reason: str
    problem: str
    mend: str


@dataclasses.dataclass(frozen=True)
class RawTable:
    """A table that is being read.

    Args:
        names: `list[str]` or `None`. The columns' names as they stand; `None` where each record has its own (JSON).
        records: iterator of `(number, record)`; a record is a dict from name to value, or what is wrong with the row.
        unit: `str`, default `"line"`. What `number` counts, from 1.
        typed: `bool`, default `False`. Whether values have types, as in JSON, or all are strings.
    """

    names: list[str] | None
    records: Iterator[tuple[int, dict[str, Any] | BadRow]]
    unit: str = "line"
    typed: bool = False


@contextlib.contextmanager
def opened_table(path: str) -> Iterator[RawTable]:
    r"""Opens the table at `path`, in the format that the end of its name stands for.

    Args:
        path: `str`. A local path or a URL that ends in `.csv`, `.tsv`, `.txt`, `.jsonl`, `.json`, perhaps followed by
            `.gz`, `.bz2`, `.xz` or `.zst`, or in `.parquet`; or `tfds:NAME/CONFIG:SPLIT`.

    Raises:
        UserError: no such file, another ending, or the file as a whole cannot be read.

    Example:
        >>> _ = Path("stars.csv").write_text('text,stars\n"Blue, mostly.",5\n')
        >>> with opened_table("stars.csv") as table:
        ...     table.names, list(table.records)
        (['text', 'stars'], [(2, {'text': 'Blue, mostly.', 'stars': '5'})])
    """
    if path.startswith(TFDS_PREFIX):
        yield _tfds(path)
        return
    format_name = _format_of(path)
    if not is_url(path):
        if not Path(path).exists():
            raise UserError(f"{path}: no such file; check the path")
        if Path(path).is_dir():
            raise UserError(f"{path}: is a folder; name a file in it")
    if format_name == "parquet":
        with open_packed(path) as stream:
            yield _parquet(path, stream)
        return
    with opened(path) as stream:
        lines = _lines(path, stream)
        if format_name == "jsonl":
            yield RawTable(None, _json_records(path, lines), typed=True)
        else:
            rows = _csv_rows(path, lines) if format_name == "csv" else _tsv_rows(lines)
            names = _header(path, rows, "commas" if format_name == "csv" else "tabs")
            yield RawTable(names, _records(rows, names))


def _format_of(path: str) -> str:
    name = path.lower()
    for ending in COMPRESSIONS:
        name = name.removesuffix(ending)
    for ending, format_name in FORMATS.items():
        if name.endswith(ending) and (format_name != "parquet" or path.lower() == name):
            return format_name
    raise UserError(
        f"{path}: the ending names no known format of tables; rename it to one of {', '.join(FORMATS)} "
        f"(all but .parquet also with {', '.join(COMPRESSIONS)} after it)"
    )


class _Line(NamedTuple):
    number: int
    text: str  # with its end; bytes that are not UTF-8 are lone surrogates
    fault: BadRow | None


def _lines(path: str, stream: BinaryIO) -> Iterator[_Line]:
    r"""Lines end at `\n` alone; blank ones come too."""
    offset = 0
    for number, data in enumerate(stream, 1):
        start = 0
        if number == 1:
            encoding = _OTHER_ENCODINGS.get(data[:2])
            if encoding:
                raise UserError(f"{path}: is {encoding}, not UTF-8; convert it, as with 'iconv -f {encoding} -t UTF-8'")
            start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        fault = None
        try:
            text = data[start:].decode()
        except UnicodeDecodeError as error:
            text = data[start:].decode(errors="surrogateescape")
            fault = BadRow(
                "not UTF-8",
                f"is not UTF-8 at byte {offset + start + error.start} ({error.reason})",
                "convert the file with iconv",
            )
        if "\0" in text:
            fault = BadRow("NUL", "contains a NUL character", "check that the file is whole and text in UTF-8")
        yield _Line(number, text, fault)
        offset += len(data)


_Row = tuple[int, list[str] | BadRow]


def _without_end(text: str) -> str:
    return text[:-1].removesuffix("\r") if text.endswith("\n") else text


def _is_blank(text: str) -> bool:
    return not text.strip(" \r\n")


def _tsv_rows(lines: Iterable[_Line]) -> Iterator[_Row]:
    """Tabs part cells and nothing is quoted, as in GLUE's own files."""
    for number, text, fault in lines:
        if not _is_blank(text):
            yield number, fault or _without_end(text).split("\t")


def _csv_rows(path: str, lines: Iterator[_Line]) -> Iterator[_Row]:
    """Cells as RFC 4180 has them, except that a line may end in a line feed alone."""
    for line in lines:
        if '"' in line.text:
            yield line.number, _quoted_row(path, line, lines)
        elif not _is_blank(line.text):
            yield line.number, line.fault or _without_end(line.text).split(",")


def _quoted_row(path: str, first: _Line, lines: Iterator[_Line]) -> list[str] | BadRow:
    """The cells of the row that starts in the line `first`; takes further lines while a quoted cell is open."""
    cells: list[str] = []
    number, text, fault = first
    position = 0
    while True:
        opening = 0
        if text.startswith('"', position):
            opening = number
            position += 1
            parts = []
            while True:
                end = text.find('"', position)
                if end < 0:
                    parts.append(text[position:])
                    line = next(lines, None)
                    if line is None:
                        raise UserError(
                            f"{path}: line {opening}: a quote is opened and never closed, so that the rows after it "
                            f"cannot be told apart; close it, or write a quote that is meant as text as two, within "
                            f"a quoted cell"
                        )
                    number, text, position = line.number, line.text, 0
                    fault = fault or line.fault
                elif text.startswith('"', end + 1):
                    parts.append(text[position : end + 1])
                    position = end + 2
                else:
                    parts.append(text[position:end])
                    position = end + 1
                    break
            cells.append("".join(parts))
        body = len(_without_end(text))
        end = text.find(",", position, body)
        end = body if end < 0 else end
        unquoted = text[position:end]
        if opening and unquoted:
            if opening < number:
                raise UserError(
                    f"{path}: line {opening}: the cell whose quote is opened here takes in all up to line {number}, "
                    f"where text follows its closing quote; close it where the cell ends"
                )
            return BadRow(
                "quotes",
                f"has text after a closing quote ({_shown(unquoted)})",
                "write a quote within a quoted cell as two",
            )
        if '"' in unquoted:
            return BadRow(
                "quotes",
                f"has a quote within a cell that is not quoted ({_shown(unquoted)})",
                "quote the whole cell and write the quote as two",
            )
        if not opening:
            cells.append(unquoted)
        if end == body:
            return fault or cells
        position = end + 1


def _header(path: str, rows: Iterator[_Row], separators: str) -> list[str]:
    number, cells = next(rows, (0, None))
    if cells is None:
        raise UserError(f"{path}: is empty; the first line must name the columns, separated by {separators}")
    if isinstance(cells, BadRow):
        raise UserError(f"{path}: line {number}, which must name the columns, {cells.problem}; {cells.mend}")
    if any("\r" in name for name in cells):
        raise UserError(f"{path}: its lines end in a carriage return alone; save it with line feeds")
    return cells


def _records(rows: Iterable[_Row], names: list[str]) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    for number, cells in rows:
        if isinstance(cells, BadRow):
            yield number, cells
        elif len(cells) != len(names):
            yield (
                number,
                BadRow(
                    "number of cells",
                    f"has {len(cells)} cells, but the first line names {len(names)} columns",
                    "complete the row, or remove or quote what separates cells within a cell",
                ),
            )
        else:
            yield number, dict(zip(names, cells, strict=True))


def _json_records(path: str, lines: Iterable[_Line]) -> Iterator[tuple[int, dict[str, Any] | BadRow]]:
    first = True
    for number, text, fault in lines:
        if _is_blank(text):
            continue
        if first and text.lstrip().startswith("["):
            raise UserError(f"{path}: is one JSON array; write one object on each line instead")
        first = False
        yield number, fault or _json_record(text)


def _json_record(text: str) -> dict[str, Any] | BadRow:
    mend = "write one whole object on each line"
    try:
        record = json.loads(text, object_pairs_hook=_with_distinct_keys)
    except json.JSONDecodeError as error:
        return BadRow("JSON", f"is not JSON ({error.msg} at character {error.pos + 1})", mend)
    except (ValueError, RecursionError) as error:
        return BadRow("JSON", f"cannot be read as JSON ({error})", mend)
    return record if isinstance(record, dict) else BadRow("JSON", "is not a JSON object", mend)


def _with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("the same key twice in one object")
    return record


def _parquet(path: str, stream: BinaryIO) -> RawTable:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(f"{path}: reading it needs the package 'pyarrow'; {INSTALL_CORPORA}") from None

    def damaged(error: Exception) -> UserError:
        return UserError(f"{path}: is not a whole Parquet file ({str(error).splitlines()[0]}); fetch it again")

    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        number = 0
        try:
            for batch in table.iter_batches(_ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
        except (pa.ArrowException, OSError) as error:
            raise damaged(error) from None

    try:
        table = pq.ParquetFile(stream)
    except (pa.ArrowException, OSError) as error:
        raise damaged(error) from None
    return RawTable(table.schema_arrow.names, records(), "row", typed=True)


def _tfds(entry: str) -> RawTable:
    builder, split = tfds_split(entry)
    features = builder.info.features
    class_names = {name: getattr(feature, "names", None) for name, feature in features.items()}

    def plain(name: str, value: Any) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value
        if class_names[name] and isinstance(value, int):
            return class_names[name][value] if value >= 0 else None  # -1: test data without labels
        return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value

    def records() -> Iterator[tuple[int, dict[str, Any]]]:
        # In order of file, so that the same data give the same rows.
        rows = builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator()
        for number, row in enumerate(rows, 1):
            yield number, {name: plain(name, value) for name, value in row.items()}

    return RawTable(list(features), records(), "row", typed=True)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")
