"""TFRecord files, record by record, with every checksum looked at and damage that can be stepped over.

TensorFlow's own reader stops for good at the first damaged record. The format is four fields a record: the length
(8 bytes), its checksum, the content, its checksum; a checksum is CRC-32C, rotated and shifted so that checksums of
data which holds checksums stay useful (tensorflow/core/lib/io/record_writer.h, crc32c.h).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from keras_bert_scratch.errors import UserError

_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_GZIP_MAGIC = b"\x1f\x8b"

# Told which record of which file is damaged, counted from 0, and how; reading goes on if it returns.
OnDamage = Callable[[Path, int, str], None]


def refuse_damage(path: Path, record: int, how: str) -> None:
    """Ends the reading with a `UserError` that names the file and the record."""
    raise UserError(
        f"{path}: record {record} is damaged ({how}); copy or make the file again, or leave out what is damaged "
        f"with '--on-corrupt skip'"
    )


def framed(record: bytes) -> bytes:
    """`record` as it stands in a TFRecord file.

    Example:
        >>> len(framed(b"content"))
        23
    """
    length = struct.pack("<Q", len(record))
    return b"".join((length, _checksum(length), record, _checksum(record)))


def read_records(path: Path | str, on_damage: OnDamage = refuse_damage) -> Iterator[bytes]:
    """Yields the records of a TFRecord file, plain or gzip (told by its first bytes), one at a time.

    Args:
        path: the file.
        on_damage: what to do about a damaged record; by default an error. After one that returns, reading goes on with
            the next record whose length is whole.

    Example:
        >>> _ = Path("one.tfrecord").write_bytes(framed(b"content"))
        >>> list(read_records("one.tfrecord"))
        [b'content']
    """
    path = Path(path)
    with path.open("rb") as plain:
        start = plain.read(_HEADER_BYTES)
        compressed = start.startswith(_GZIP_MAGIC) and not _is_header(start)  # a length may begin so too
        plain.seek(0)
        stream = gzip.GzipFile(fileobj=plain) if compressed else plain
        index = 0
        try:
            while header := stream.read(_HEADER_BYTES):
                if not _is_header(header):
                    how = "its length is broken" if len(header) == _HEADER_BYTES else "the file ends inside it"
                    on_damage(path, index, how)
                    index += 1
                    if compressed or not _seek_header(plain, plain.tell() - len(header) + 1):
                        return
                    continue
                (length,) = struct.unpack("<Q", header[:8])
                record, checksum = stream.read(length), stream.read(_CHECKSUM_BYTES)
                if len(checksum) < _CHECKSUM_BYTES:
                    on_damage(path, index, "the file ends inside it")
                elif checksum != _checksum(record):
                    on_damage(path, index, "its checksum is another")
                else:
                    yield record
                index += 1
        except (OSError, EOFError, zlib.error) as error:
            on_damage(path, index, str(error))


def _checksum(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _is_header(header: bytes) -> bool:
    return len(header) == _HEADER_BYTES and _checksum(header[:8]) == header[8:]


def _seek_header(stream: BinaryIO, start: int) -> bool:
    """Moves to the next whole header from `start` on, if there is one."""
    stream.seek(start)
    rest = stream.read()
    for offset in range(len(rest) - _HEADER_BYTES + 1):
        if _is_header(rest[offset : offset + _HEADER_BYTES]):
            stream.seek(start + offset)
            return True
    return False
