"""TFRecord files, record by record: every checksum is verified, and a damaged record can be skipped.

TensorFlow's own reader stops at the first damaged record. A record has four fields: the length (8 bytes), the length's
checksum (4), the content, the content's checksum (4). A checksum is a CRC-32C that is rotated and added to a
constant, which keeps checksums of checksummed data useful (tensorflow/core/lib/io/record_writer.h, crc32c.h).
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
from keras_bert_scratch.filesystem import Address, AnyPath, path_of, reading

_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_GZIP_MAGIC = b"\x1f\x8b"

# Called with the file, the damaged record's number from 0, and the damage; if it returns, reading continues.
OnDamage = Callable[[AnyPath, int, str], None]


def refuse_damage(path: AnyPath, record: int, how: str) -> None:
    """Raises a `UserError` that names the file and the record."""
    raise UserError(
        f"{path}: record {record} is damaged ({how}); copy the file again or rebuild it, or give `on_corrupt='skip'`"
    )


def framed(record: bytes) -> bytes:
    """`record` with its length and checksums, as a TFRecord file holds it.

    Example:
        >>> len(framed(b"content"))
        23
    """
    length = struct.pack("<Q", len(record))
    return b"".join((length, _checksum(length), record, _checksum(record)))


def read_records(path: str | Path | Address, on_damage: OnDamage = refuse_damage) -> Iterator[bytes]:
    """Yields the records of a TFRecord file without their numbers; arguments as for `numbered_records`.

    Example:
        >>> _ = Path("one.tfrecord").write_bytes(framed(b"content"))
        >>> list(read_records("one.tfrecord"))
        [b'content']
    """
    return (record for _, record in numbered_records(path, on_damage))


def numbered_records(path: str | Path | Address, on_damage: OnDamage = refuse_damage) -> Iterator[tuple[int, bytes]]:
    """Yields number and content of each record of a TFRecord file, plain or gzip (detected by its first bytes).

    Damaged records that are skipped count too, so a number tells where in the file the record is.

    Args:
        path: str or path. The file, on this machine or at an address.
        on_damage: function, default raises `UserError`. Called at a damaged record. If it returns, reading continues at
            the next record with a valid length.

    Example:
        >>> _ = Path("one.tfrecord").write_bytes(framed(b"content"))
        >>> list(numbered_records("one.tfrecord"))
        [(0, b'content')]
    """
    path = path_of(path)
    with reading(path), path.open("rb") as plain:
        start = plain.read(_HEADER_BYTES)  # a plain file's header may look like gzip by coincidence
        compressed = start.startswith(_GZIP_MAGIC) and not _is_header(start)
        plain.seek(0)
        stream = gzip.GzipFile(fileobj=plain) if compressed else plain
        index = 0
        try:
            while header := stream.read(_HEADER_BYTES):
                if not _is_header(header):
                    how = (
                        "the checksum of its length is wrong"
                        if len(header) == _HEADER_BYTES
                        else "the file ends inside it"
                    )
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
                    on_damage(path, index, "its checksum is wrong")
                else:
                    yield index, record
                index += 1
        except (OSError, EOFError, zlib.error) as error:
            if getattr(error, "errno", None) is not None:
                raise  # an error of the disk or the network says nothing about the record
            on_damage(path, index, str(error))


def _checksum(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _is_header(header: bytes) -> bool:
    return len(header) == _HEADER_BYTES and _checksum(header[:8]) == header[8:]


def _seek_header(stream: BinaryIO, start: int) -> bool:
    """Moves to the next valid header from `start` on; returns whether there is one."""
    stream.seek(start)
    rest = stream.read()
    for offset in range(len(rest) - _HEADER_BYTES + 1):
        if _is_header(rest[offset : offset + _HEADER_BYTES]):
            stream.seek(start + offset)
            return True
    return False
