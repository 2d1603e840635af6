"""Tables as sources of text: one column of CSV, Parquet and TensorFlow Datasets, row by row."""

from __future__ import annotations

import csv
import functools
import io
import os
import re
from collections.abc import Iterator
from typing import Any

from keras_bert_scratch.data.corpus.form import SourceFile
from keras_bert_scratch.data.corpus.streams import INSTALL_CORPORA, opened
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of, reading

TFDS_PREFIX = "tfds:"

_NAME_AND_SPLIT = re.compile(r"(.+):([^:\[\]]+(?:\[.*\])?)")  # each part may contain a colon: name:1.0.0, train[:10%]
_ROWS_AT_ONCE = 1024
_MAX_FIELD_BYTES = 1 << 30


def read_rows(file: SourceFile, text_field: str) -> Iterator[bytes]:
    r"""Yields the text of each row of `file`, in bytes that should be UTF-8; empty for a row without text.

    Raises:
        UserError: the file is damaged, there is no such column (lists the columns), or the column holds no text.

    Example:
        >>> from pathlib import Path
        >>> from keras_bert_scratch.data.corpus.sources import source_files
        >>> _ = Path("sky.csv").write_text('text,stars\n"Blue, mostly.",5\n')
        >>> list(read_rows(source_files(["sky.csv"])[0], "text"))
        [b'Blue, mostly.']
    """
    return {"csv": _csv_rows, "parquet": _parquet_rows, "tfds": _tfds_rows}[file.kind](file.path, text_field)


def _csv_rows(path: str, text_field: str) -> Iterator[bytes]:
    csv.field_size_limit(_MAX_FIELD_BYTES)
    with opened(path) as stream:
        # Latin-1 maps each byte to one character; the bytes are decoded as UTF-8 later, for all kinds of files alike.
        lines = io.TextIOWrapper(stream, encoding="latin-1", newline="")
        reader = csv.reader(lines, delimiter="\t" if ".tsv" in path[-8:].lower() else ",", strict=True)
        try:
            names = [name.encode("latin-1").decode("utf-8-sig", "replace") for name in next(reader, [])]
            column = names.index(_present(text_field, names, path))
            for row in reader:
                if len(row) > len(names):
                    raise UserError(
                        f"{path}: line {reader.line_num} has {len(row)} cells, but the header names {len(names)}; "
                        "quote the cells that contain separators"
                    )
                yield row[column].encode("latin-1") if column < len(row) else b""
        except csv.Error as error:
            raise UserError(
                f"{path}: line {reader.line_num} is not valid CSV ({error}); a cell that begins with a quote must end "
                "with one, and quotes within it are doubled"
            ) from None


def _parquet_rows(path: str, text_field: str) -> Iterator[bytes]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(f"{path}: reading it needs the package 'pyarrow'; {INSTALL_CORPORA}") from None
    try:
        with reading(path), path_of(path).open("rb") as stream, pq.ParquetFile(stream) as table:
            column = table.schema_arrow.field(_present(text_field, table.schema_arrow.names, path)).type
            kind = column.value_type if pa.types.is_dictionary(column) else column
            if not any(is_it(kind) for is_it in (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)):
                raise UserError(f"{path}: column {text_field!r} contains {kind}, not text; choose another `text_field`")
            for batch in table.iter_batches(_ROWS_AT_ONCE, columns=[text_field]):
                for text in batch.column(0).cast(kind).cast(pa.large_binary()).to_pylist():
                    yield text or b""
    except pa.ArrowInvalid as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: is not a valid Parquet file ({reason}); download it again") from None


def _tfds_rows(entry: str, text_field: str) -> Iterator[bytes]:
    builder, split = tfds_split(entry)
    features = builder.info.features
    if features[_present(text_field, list(features), entry)].np_dtype not in (object, str, bytes):
        raise UserError(f"{entry}: feature {text_field!r} is not text; choose another `text_field`")
    # In file order, so that the same data give the same records.
    rows = builder.as_dataset(split=split, shuffle_files=False).map(lambda row: row[text_field])
    yield from rows.as_numpy_iterator()


@functools.lru_cache
def tfds_split(entry: str) -> tuple[Any, str]:
    """Downloads and prepares the dataset that `tfds:NAME/CONFIG:SPLIT` names; returns its builder, and the split.

    The data are stored in `TFDS_DATA_DIR`, or else in the default folder of TensorFlow Datasets.

    Raises:
        UserError: there is no such dataset or split, or it cannot be prepared.
    """
    parts = _NAME_AND_SPLIT.fullmatch(entry.removeprefix(TFDS_PREFIX))
    if not parts:
        raise UserError(f"{entry}: give a dataset and its split, as in tfds:imdb_reviews/plain_text:train")
    name, split = parts.groups()
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise UserError(f"{entry}: reading it needs the package 'tensorflow-datasets'; {INSTALL_CORPORA}") from None
    try:
        builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
        builder.download_and_prepare()
    except tfds.core.DatasetNotFoundError:
        raise UserError(f"{entry}: no such dataset; look its name up at tensorflow.org/datasets") from None
    except Exception as error:  # whatever the dataset's own code, its server or the disk raises
        raise UserError(f"{entry}: cannot be downloaded and prepared ({_first_line(error)})") from error
    try:
        builder.info.splits[split]
    except (KeyError, ValueError):
        raise UserError(f"{entry}: has no split {split!r}; it has {', '.join(builder.info.splits)}") from None
    return builder, split


def _present(text_field: str, names: list[str], path: str) -> str:
    if text_field not in names:
        raise UserError(f"{path}: has no column {text_field!r}; set `text_field` to one of {', '.join(names)}")
    return text_field


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
