"""Numbered lines of a text file; each line says whether its bytes are valid."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from keras_bert_scratch.errors import UserError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class BadRow(NamedTuple):
    """What is wrong with one row.

    Args:
        reason: `str`. The kind of fault; skipped rows are counted by it.
        problem: `str`. What is wrong with this row: the predicate of a sentence whose subject is the row.
        fix: `str`. How to correct the row.
    """

    reason: str
    problem: str
    fix: str


class Line(NamedTuple):
    """A line of a file.

    Args:
        number: `int`. From 1.
        text: `str`. Includes the line end. Bytes that are not UTF-8 become lone surrogates, and `fault` says so.
        fault: `BadRow` or `None`. What is wrong with the line's bytes.
    """

    number: int
    text: str
    fault: BadRow | None


def read_lines(path: str, stream: BinaryIO) -> Iterator[Line]:
    r"""Yields the lines of `stream` without a UTF-8 byte order mark; only `\n` ends a line.

    Args:
        path: `str`. Name of the file in errors.
        stream: binary stream of the file.

    Raises:
        UserError: the file is UTF-16.

    Example:
        >>> import io
        >>> [(line.number, line.text) for line in read_lines("sky.txt", io.BytesIO(b"Blue\rsky.\r\nRain."))]
        [(1, 'Blue\rsky.\r\n'), (2, 'Rain.')]
    """
    offset = 0
    for number, data in enumerate(stream, 1):
        start = 0
        if number == 1:
            if data.startswith(_UTF_16):
                raise UserError(
                    f"{path}: is UTF-16, not UTF-8; convert it, for example with 'iconv -f UTF-16 -t UTF-8'"
                )
            start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        fault = None
        try:
            text = data[start:].decode()
        except UnicodeDecodeError as error:
            text = data[start:].decode(errors="surrogateescape")
            problem = f"is not UTF-8 at byte {offset + start + error.start} of the file ({error.reason})"
            fault = BadRow("not UTF-8", problem, "convert the file with iconv")
        if "\0" in text:
            fix = "check that the file is complete and is UTF-8 text"
            fault = BadRow("NUL character", "contains a NUL character", fix)
        yield Line(number, text, fault)
        offset += len(data)
