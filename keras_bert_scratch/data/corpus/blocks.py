"""From files to blocks of about 4 MB of raw text, each of whole documents.

This part of reading runs in a single process. So it works on bytes, and only searches for the end of the last document
of a block. The processes that receive the blocks decode them and do the rest (`corpus.splitting`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.corpus.streams import opened
from keras_bert_scratch.data.corpus.tables import read_rows
from keras_bert_scratch.errors import UserError

BLOCK_BYTES = 4 << 20
MAX_DOCUMENT_BYTES = 16 << 20  # a longer document is cut, to bound memory
MAX_ROW_BYTES = 64 << 20  # a row of JSON lines cannot be cut

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_WHITE_SPACE = [chr(code) for code in range(0x3001) if chr(code).isspace() and chr(code) != "\n"]  # all of Unicode's
_BLANK_LINE = re.compile(b"\n(?:%s)*\n" % "|".join(map(re.escape, _WHITE_SPACE)).encode())


@dataclasses.dataclass(frozen=True)
class TextChunk:
    """Whole documents of one file, as raw bytes.

    Args:
        path: str. The file's path, for messages.
        kind: str. The file's kind. `"text"` and `"jsonl"` have one item; in other kinds each item is a row's text.
        first_number: int. Number of the first line, or row, in the file, from 1.
        items: tuple of bytes. The text.
        begins_cut_document: bool. Whether its last document is too long and was cut here for the first time.
    """

    path: str
    kind: str
    first_number: int
    items: tuple[bytes, ...]
    begins_cut_document: bool = False

    @property
    def num_bytes(self) -> int:
        return sum(map(len, self.items))


@dataclasses.dataclass(frozen=True)
class Block:
    """Chunks of one file, or of several small ones: what a process splits in one step."""

    chunks: tuple[TextChunk, ...]


def read_blocks(group: list[SourceFile], form: CorpusForm) -> Iterator[Block]:
    r"""Yields the text of `group` in blocks of about `BLOCK_BYTES`, cut between documents.

    The blocks depend only on the files' content and on `form`. A document of more than `MAX_DOCUMENT_BYTES` is cut: at
    the end of a line, else at white space, else between two characters.

    Raises:
        UserError: a file cannot be read, is damaged, or lacks the column; names the file.

    Example:
        >>> from pathlib import Path
        >>> from keras_bert_scratch.data.corpus.sources import source_files
        >>> _ = Path("sky.txt").write_text("The sky is blue.\n\nIt may rain.")
        >>> [block] = read_blocks(source_files(["sky.txt"]), CorpusForm())
        >>> block.chunks[0].items
        (b'The sky is blue.\n\nIt may rain.',)
    """
    chunks: list[TextChunk] = []
    num_bytes = 0
    for file in group:
        for chunk in _line_chunks(file, form) if file.kind in ("text", "jsonl") else _row_chunks(file, form):
            chunks.append(chunk)
            num_bytes += chunk.num_bytes
            if num_bytes >= BLOCK_BYTES:
                yield Block(tuple(chunks))
                chunks, num_bytes = [], 0
    if chunks:
        yield Block(tuple(chunks))


def _row_chunks(file: SourceFile, form: CorpusForm) -> Iterator[TextChunk]:
    rows: list[bytes] = []
    number, num_bytes = 1, 0
    for row in read_rows(file, form.text_field):
        rows.append(row)
        num_bytes += len(row)
        if num_bytes >= BLOCK_BYTES:
            yield TextChunk(file.path, file.kind, number, tuple(rows))
            number, num_bytes, rows = number + len(rows), 0, []
    yield TextChunk(file.path, file.kind, number, tuple(rows))


def _line_chunks(file: SourceFile, form: CorpusForm) -> Iterator[TextChunk]:
    limit = MAX_ROW_BYTES if file.kind == "jsonl" else MAX_DOCUMENT_BYTES
    line, inside_document, searched = 1, False, 0
    with opened(file.path) as stream:
        data = stream.read(len(_BYTE_ORDER_MARK)).removeprefix(_BYTE_ORDER_MARK)
        while piece := stream.read(min(BLOCK_BYTES, limit - len(data))):
            data += piece
            if len(data) < BLOCK_BYTES:
                continue
            end = _last_document_end(data, searched, file.kind, form)
            too_long = not end and len(data) == limit
            if too_long and file.kind == "jsonl":
                raise UserError(f"{file.path}: line {line} is longer than {limit >> 20} MB; write one row per line")
            if too_long:
                end = _cut(data)
            if end:
                text, data = data[:end], data[end:]
                yield TextChunk(file.path, file.kind, line, (text,), too_long and not inside_document)
                line, inside_document = line + text.count(b"\n"), too_long
            searched = data.rfind(b"\n") + 1  # no document ends before this line
        if data or not inside_document:
            yield TextChunk(file.path, file.kind, line, (data,))


def _last_document_end(data: bytes, start: int, kind: str, form: CorpusForm) -> int:
    """The end of a document in `data`, searched from the line at `start` on; 0 if none is found.

    The last empty line counts; only if there is none, the last line that consists of white space.
    """
    if kind == "jsonl":
        return data.rfind(b"\n", start) + 1
    if form.documents == "files":
        return 0
    start = max(0, start - 1)  # a blank line begins with the line break before it
    for usual in (b"\n\n", b"\n\r\n"):
        if (position := data.rfind(usual, start)) >= 0:
            return position + len(usual)
    return max((match.end() for match in _BLANK_LINE.finditer(data, start)), default=0)


def _cut(data: bytes) -> int:
    """The position at which a document that is too long is cut."""
    line_end = data.rfind(b"\n", 1)
    if line_end > 0:
        return line_end  # the rest begins with the line break, so that a blank line there is recognized
    space = max(data.rfind(b" "), data.rfind(b"\t"))
    if space >= 0:
        return space + 1
    end = len(data) - 1
    while end > len(data) - 4 and data[end] & 0xC0 == 0x80:  # the inside of a UTF-8 character
        end -= 1
    return end
