"""Files of Google's records, written by any program: finding, counting and identifying them."""

from __future__ import annotations

import glob
import hashlib
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from keras_bert_scratch.data.records.tfrecord import read_records
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, listed, path_of, reading

FINGERPRINT_BYTES = 1 << 20  # of a file's start and of its end

_LENGTH_BYTES, _CHECKSUM_BYTES = 8, 4

log = logging.getLogger(__name__)


def record_files(paths: str | Path | Address | Sequence[str | Path | Address]) -> list[AnyPath]:
    """The files that `paths` stand for, in this order; those of a folder or pattern are sorted by name.

    Args:
        paths: str, path or a list of these. A folder, for the TFRecord files in it; a file; or a pattern like
            `"part-*"`; on this machine or at an address.

    Raises:
        UserError: one of `paths` stands for no file.

    Example:
        >>> from keras_bert_scratch.data.records.tfrecord import framed
        >>> Path("examples").mkdir()
        >>> _ = Path("examples/part-0").write_bytes(framed(b"content"))
        >>> _ = Path("examples/README").write_text("is no record")
        >>> [path.name for path in record_files("examples")], len(record_files("examples/part-*"))
        (['part-0'], 1)
    """
    found: list[AnyPath] = []
    for path in listed(paths):
        with reading(path):
            files = _files_of(path_of(path))
        if not files:
            raise UserError(
                f"{path}: contains no records; give a folder or files of records, or build them with "
                f"'keras-bert tfrecords'"
            )
        found += files
    return list(dict.fromkeys(found))


def _files_of(path: AnyPath) -> list[AnyPath]:
    if path.is_dir():
        return [file for file in sorted(path.iterdir()) if looks_like_records(file)]
    if path.exists():
        return [path]
    if isinstance(path, Address):
        return [file for file in path.matching() if file.is_file()]
    matching = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - may be absolute
    return [Path(file) for file in matching if Path(file).is_file()]


def looks_like_records(path: AnyPath) -> bool:
    """Whether the name contains `tfrecord`, or the file begins with a complete record."""
    if not path.is_file() or path.name.startswith("."):
        return False
    if "tfrecord" in path.name:
        return True
    try:
        return next(read_records(path), None) is not None
    except UserError:
        log.info("%s: left out, because it does not begin with a record", path)
        return False


def count_examples(path: AnyPath) -> int:
    """The number of records in a file; if it is not compressed, only their lengths are read.

    Raises:
        UserError: it is damaged.

    Example:
        >>> from keras_bert_scratch.data.records.tfrecord import framed
        >>> _ = Path("two.tfrecord").write_bytes(framed(b"content") + framed(b"more"))
        >>> count_examples(Path("two.tfrecord"))
        2
    """
    size, position, count = path.stat().st_size, 0, 0
    with path.open("rb", buffering=0) as file:
        while position + _LENGTH_BYTES <= size:
            file.seek(position)
            (length,) = struct.unpack("<Q", file.read(_LENGTH_BYTES))
            position += _LENGTH_BYTES + _CHECKSUM_BYTES + length + _CHECKSUM_BYTES
            count += 1
    # If the last record does not end where the file ends, the file is compressed or damaged: read all of it.
    return count if position == size else sum(1 for _ in read_records(path))


def fingerprint_of(path: AnyPath) -> str:
    """A hash of a file's size, start and end: fast, the same for a copy, different for a file that was made anew."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(FINGERPRINT_BYTES)
        file.seek(max(0, size - FINGERPRINT_BYTES), os.SEEK_SET)
        return hashlib.sha256(b"%d\n" % size + start + file.read()).hexdigest()
