"""CoNLL files: a word and its tags on each line, a blank line after each sentence."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from keras_bert_scratch.data.corpus.streams import opened
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.lines import BadRow, read_lines

DOCUMENT_START = "-DOCSTART-"


@dataclasses.dataclass
class Sentence:
    """One sentence.

    Args:
        line: `int`. Where it starts, from 1.
        document: `int`. How many `-DOCSTART-` lines stand before it.
        words: `list[str]`.
        tags: `list[str]`. One for each word; empty if the file was read without.
        word_lines: `list[int]`. The line of each word.
        first_cells: `list[str]`. All columns of its first line.
        fault: `BadRow` or `None`. What is wrong with it; its other fields are then incomplete.
    """

    line: int
    document: int = 0
    words: list[str] = dataclasses.field(default_factory=list)
    tags: list[str] = dataclasses.field(default_factory=list)
    word_lines: list[int] = dataclasses.field(default_factory=list)
    first_cells: list[str] = dataclasses.field(default_factory=list)
    fault: BadRow | None = None


def read_sentences(path: Path | str, word_column: int = 1, tag_column: int | None = -1) -> Iterator[Sentence]:
    r"""Yields the sentences of a CoNLL file, in flat memory.

    Columns are separated by tabs where a line has one, else by blanks. `-DOCSTART-` lines are no words and end a
    sentence, whether or not a blank line follows. All lines have as many columns as the first.

    Args:
        path: `str` or `Path`. UTF-8, perhaps compressed.
        word_column: `int`, default 1. From 1, or from -1 backwards.
        tag_column: `int` or `None`, default -1. The same; `None` reads no tags.

    Raises:
        UserError: no such file, or no such column.

    Example:
        >>> _ = Path("news.conll").write_text("-DOCSTART- O\n\nPeter B-PER\nBlackburn I-PER\n\nBRUSSELS B-LOC\n")
        >>> [(sentence.line, sentence.words, sentence.tags) for sentence in read_sentences("news.conll")]
        [(3, ['Peter', 'Blackburn'], ['B-PER', 'I-PER']), (6, ['BRUSSELS'], ['B-LOC'])]
    """
    file = path_of(path)
    if not file.exists():
        raise UserError(f"{path}: no such file; check the path")
    if file.is_dir():
        raise UserError(f"{path}: is a folder; name a file in it")
    num_columns = word_at = tag_at = 0
    document, sentence = 0, Sentence(0)
    with opened(str(path)) as stream:
        for line in read_lines(str(path), stream):
            cells = _cells(line.text)
            is_start = DOCUMENT_START in cells  # in whatever column
            if is_start or not any(cells):
                if sentence.line:
                    yield sentence
                document += is_start
                sentence = Sentence(0, document)
                continue
            if not sentence.line:
                sentence.line, sentence.first_cells = line.number, cells
            if not num_columns:
                num_columns = len(cells)
                word_at = _index(str(path), word_column, num_columns)
                tag_at = word_at if tag_column is None else _index(str(path), tag_column, num_columns)
                if tag_column is not None and word_at == tag_at:
                    raise UserError(f"{path}: line {line.number} has no tag beside its word; give each word one")
            if line.fault or len(cells) != num_columns:
                problem = f"has {len(cells)} columns in line {line.number}, but the first line has {num_columns}"
                mend = "complete the line: a word and its tags, separated by a tab or by blanks"
                sentence.fault = sentence.fault or line.fault or BadRow("number of columns", problem, mend)
                continue
            sentence.words.append(cells[word_at])
            sentence.word_lines.append(line.number)
            if tag_column is not None:
                sentence.tags.append(cells[tag_at])
    if sentence.line:
        yield sentence


def _cells(text: str) -> list[str]:
    text = text.rstrip("\r\n")
    return [cell.strip(" ") for cell in text.split("\t")] if "\t" in text else text.split()


def _index(path: str, column: int, num_columns: int) -> int:
    if not 1 <= abs(column) <= num_columns:
        raise UserError(f"{path}: its lines have {num_columns} columns, no column {column}; name another")
    return column - 1 if column > 0 else num_columns + column
