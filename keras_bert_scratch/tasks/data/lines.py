"""Numbered lines of a text file, each with what is wrong with its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from keras_bert_scratch.errors import UserError

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class BadRow(NamedTuple):
    """What is wrong with one row.

    Args:
        reason: `str`. The kind of fault, by which skipped rows are counted.
        problem: `str`. What is wrong with this row: a sentence whose subject is the row.
        mend: `str`. How to correct it.
    """

    reason: str
    problem: str
    mend: str


class Line(NamedTuple):
    """A line of a file.

    Args:
        number: `int`. From 1.
        text: `str`. With its line end. Bytes that are not UTF-8 are lone surrogates, and `fault` says so.
        fault: `BadRow` or `None`.
    """

    number: int
    text: str
    fault: BadRow | None


def read_lines(path: str, stream: BinaryIO) -> Iterator[Line]:
    r"""Yields the lines of `stream`, which end at `\n` alone, without the byte order mark of UTF-8.

    Args:
        path: `str`. What errors call the file.
        stream: the file's bytes.

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
                raise UserError(f"{path}: is UTF-16, not UTF-8; convert it, as with 'iconv -f UTF-16 -t UTF-8'")
            start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
        fault = None
        try:
            text = data[start:].decode()
        except UnicodeDecodeError as error:
            text = data[start:].decode(errors="surrogateescape")
            problem = f"is not UTF-8 at byte {offset + start + error.start} of the file ({error.reason})"
            fault = BadRow("not UTF-8", problem, "convert the file with iconv")
        if "\0" in text:
            mend = "check that the file is whole and is text in UTF-8"
            fault = BadRow("NUL character", "contains a NUL character", mend)
        yield Line(number, text, fault)
        offset += len(data)
