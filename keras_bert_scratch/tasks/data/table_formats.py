"""Table formats: a file is read into numbered records; a damaged record is replaced by its fault."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from keras_bert_scratch.data.corpus.streams import COMPRESSIONS, INSTALL_CORPORA, opened
from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX, tfds_split
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.cells import is_unicode
from keras_bert_scratch.tasks.data.delimited import as_records, csv_rows, read_header, tsv_rows
from keras_bert_scratch.tasks.data.lines import BadRow, Line, read_lines
from keras_bert_scratch.tasks.data.named_table import NamedTable

ENDINGS = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet")

IN_MEMORY = "columns in memory"

_ROWS_AT_ONCE = 1024

Records = Iterator[tuple[int, dict[str, Any] | BadRow]]


@dataclasses.dataclass(frozen=True)
class RawTable:
    """A table that is being read.

    Args:
        names: `list[str]` or `None`. The column names as in the file; `None` if each record has its own names (JSON).
        records: iterator of `(number, record)`; a record is a dict from name to value, or the row's `BadRow`.
        unit: `str`, default `"line"`. The unit of `number`, which counts from 1.
        typed: `bool`, default `False`. Whether values have types, as in JSON, or are all strings.
    """

    names: list[str] | None
    records: Records
    unit: str = "line"
    typed: bool = False


@contextlib.contextmanager
def opened_table(path: str | NamedTable | Mapping[str, Sequence[Any]]) -> Iterator[RawTable]:
    r"""Opens the table at `path`; the ending of its name determines the format.

    Args:
        path: `str`, `NamedTable` or mapping. Columns in memory by name; or a local path or a URL that ends in `.csv`,
            `.tsv`, `.txt`, `.jsonl`, `.json`, each optionally followed by `.gz`, `.bz2`, `.xz` or `.zst`, or in
            `.parquet`; or `tfds:NAME/CONFIG:SPLIT`.

    Raises:
        UserError: the file does not exist, has another ending, or cannot be read as a whole.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("stars.csv").write_text('text,stars\n"Blue, mostly.",5\n')
        >>> with opened_table("stars.csv") as table:
        ...     table.names, list(table.records)
        (['text', 'stars'], [(2, {'text': 'Blue, mostly.', 'stars': '5'})])
    """
    if isinstance(path, Mapping):
        yield _in_memory(path)
        return
    if isinstance(path, NamedTable):
        with _opened(str(path.path), list(path.names)) as table:
            yield dataclasses.replace(table, records=path.with_labels(table.records, table.typed))
        return
    with _opened(path, []) as table:
        yield table


@contextlib.contextmanager
def _opened(path: str, names: list[str]) -> Iterator[RawTable]:
    """The table in a file; `names` are its column names if the file has no header."""
    if path.startswith(TFDS_PREFIX):
        yield _tfds(path)
        return
    ending = table_ending(path)
    if not ending:
        raise UserError(
            f"{path}: its ending is not that of a known table format; rename it to the one of "
            f"{', '.join(ENDINGS)} (all but .parquet also with {', '.join(COMPRESSIONS)} after it)"
        )
    file = path_of(path)
    if not file.exists():
        raise UserError(f"{path}: no such file; check the path")
    if file.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    with opened(path) as stream:
        if ending == ".parquet":
            yield _parquet(path, stream)
        elif ending in (".jsonl", ".json"):
            yield RawTable(None, _json_records(path, read_lines(path, stream)), typed=True)
        else:
            read_rows, separator = (csv_rows, "comma") if ending == ".csv" else (tsv_rows, "tab")
            rows = read_rows(path, read_lines(path, stream))
            in_file = names or read_header(path, rows, separator)
            yield RawTable(in_file, as_records(rows, in_file, has_header=not names))


def _in_memory(columns: Mapping[str, Sequence[Any]]) -> RawTable:
    lists = _lists(columns)
    rows = (dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True))
    return RawTable(list(lists), enumerate(rows, 1), "row", typed=True)


def texts_in_memory(columns: Mapping[str, Sequence[Any]], list_columns: Sequence[str] = ()) -> dict[str, list[Any]]:
    """Converts columns of texts in memory to lists.

    Args:
        columns: columns by name.
        list_columns: sequence of `str`, default empty. Names of the columns that have a list of texts in each row.

    Raises:
        UserError: a column is a single text, columns differ in length, or a value is not a valid string or list of
            strings; for a bad value the message names the row.

    Example:
        >>> texts_in_memory({"text": ("Blue.", "Grey.")})
        {'text': ['Blue.', 'Grey.']}
    """
    lists = _lists(columns)
    for name, values in lists.items():
        for number, value in enumerate(values, 1):
            wanted = "list of strings" if name in list_columns else "string"
            texts = value if name in list_columns else [value]
            if not (isinstance(texts, (list, tuple)) and all(isinstance(text, (str, bytes)) for text in texts)):
                raise UserError(
                    f"{IN_MEMORY}: row {number} has {value!r}, which is not a {wanted} in the column {name!r}; give a "
                    f"{wanted} in every row"
                )
            if not all(is_unicode(text) for text in texts if isinstance(text, str)):
                raise UserError(
                    f"{IN_MEMORY}: row {number} has a lone surrogate or bytes that are not UTF-8 in the column "
                    f"{name!r}; correct them"
                )
    return lists


def _lists(columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The columns as lists of equal length with native Python values."""
    lists: dict[str, list[Any]] = {}
    for name, values in columns.items():
        if isinstance(values, (str, bytes)):
            raise UserError(f"{IN_MEMORY}: {name!r} is a single text; give a list of texts")
        # NumPy arrays and scalars become native Python values.
        values = values.tolist() if hasattr(values, "tolist") else values
        lists[name] = [value.item() if hasattr(value, "item") else value for value in values]
    if len({len(values) for values in lists.values()}) > 1:
        listed = ", ".join(f"{name} {len(values)}" for name, values in lists.items())
        raise UserError(f"{IN_MEMORY}: must have equal lengths, not {listed}")
    return lists


def table_ending(path: str) -> str:
    """Which of `ENDINGS` the name has, with or without a compression's ending after it; `""` for none.

    Example:
        >>> table_ending("a.JSONL.gz"), table_ending("news.conll"), table_ending("a.parquet.gz")
        ('.jsonl', '', '')
    """
    name = path.lower()
    unpacked = next((name.removesuffix(ending) for ending in COMPRESSIONS if name.endswith(ending)), name)
    found = next((ending for ending in ENDINGS if unpacked.endswith(ending)), "")
    return "" if found == ".parquet" and unpacked != name else found


def _json_records(path: str, lines: Iterable[Line]) -> Records:
    first = True
    for line in lines:
        if line.text.isspace():
            continue
        if first and line.text.lstrip().startswith("["):
            raise UserError(f"{path}: is one JSON array; write one object per line")
        first = False
        yield line.number, line.fault or _json_record(line.text)


def _json_record(text: str) -> dict[str, Any] | BadRow:
    fix = "write one complete object on each line"
    try:
        record = json.loads(text, object_pairs_hook=_with_distinct_keys)
    except json.JSONDecodeError as error:
        return BadRow("no JSON object", f"is not JSON ({error.msg} at character {error.pos + 1})", fix)
    except (ValueError, RecursionError) as error:
        return BadRow("no JSON object", f"cannot be read as JSON ({error})", fix)
    return record if isinstance(record, dict) else BadRow("no JSON object", "is not a JSON object", fix)


def _with_distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("an object has the same key twice")
    return record


def _parquet(path: str, stream: BinaryIO) -> RawTable:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(f"{path}: reading it needs the package 'pyarrow'; {INSTALL_CORPORA}") from None

    def damaged(error: Exception) -> UserError:
        return UserError(f"{path}: is not a valid Parquet file ({str(error).splitlines()[0]}); download it again")

    def records() -> Records:
        number = 0
        try:
            for batch in table.iter_batches(_ROWS_AT_ONCE):
                for record in batch.to_pylist():
                    number += 1
                    yield number, {name: _as_text(value) for name, value in record.items()}
        except pa.ArrowInvalid as error:
            raise damaged(error) from None

    try:
        table = pq.ParquetFile(stream)
    except pa.ArrowInvalid as error:
        raise damaged(error) from None
    return RawTable(table.schema_arrow.names, records(), "row", typed=True)


def _tfds(entry: str) -> RawTable:
    builder, split = tfds_split(entry)
    features = builder.info.features
    # TensorFlow Datasets stores a class, or a sequence of classes, as numbers; these are the names.
    class_names = {
        name: getattr(feature, "names", None) or getattr(getattr(feature, "feature", None), "names", None)
        for name, feature in features.items()
    }

    def plain(name: str, value: Any) -> Any:
        value = value.tolist() if hasattr(value, "tolist") else value
        if isinstance(value, dict):
            return {key: plain("", item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(name, item) for item in value]
        if names := class_names.get(name):
            return names[value] if value >= 0 else None  # -1 in a test set without labels
        return _as_text(value)

    def records() -> Records:
        # In file order, so that the same data yield the same rows.
        rows = builder.as_dataset(split=split, shuffle_files=False).as_numpy_iterator()
        for number, row in enumerate(rows, 1):
            yield number, {name: plain(name, value) for name, value in row.items()}

    return RawTable(list(features), records(), "row", typed=True)


def _as_text(value: Any) -> Any:
    """Decodes bytes to text, with lone surrogates for bytes that are not UTF-8; returns other values unchanged."""
    return value.decode(errors="surrogateescape") if isinstance(value, bytes) else value
