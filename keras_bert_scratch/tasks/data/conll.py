"""CoNLL files: one word with its tags per line, a blank line after each sentence."""

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
        line: `int`. Line in which it starts, from 1.
        document: `int`. Number of `-DOCSTART-` lines before it.
        words: `list[str]`.
        tags: `list[str]`. One per word; empty if the file was read without tags.
        word_lines: `list[int]`. The line of each word.
        first_cells: `list[str]`. All columns of its first line.
        fault: `BadRow` or `None`. What is wrong with the sentence; the other fields are then incomplete.
    """

    line: int
    document: int = 0
    words: list[str] = dataclasses.field(default_factory=list)
    tags: list[str] = dataclasses.field(default_factory=list)
    word_lines: list[int] = dataclasses.field(default_factory=list)
    first_cells: list[str] = dataclasses.field(default_factory=list)
    fault: BadRow | None = None


def read_sentences(path: Path | str, word_column: int = 1, tag_column: int | None = -1) -> Iterator[Sentence]:
    r"""Yields the sentences of a CoNLL file, in constant memory.

    Columns are separated by tabs if the line has a tab, else by blanks. `-DOCSTART-` lines are not words; they end a
    sentence, whether or not a blank line follows. All lines must have as many columns as the first.

    Args:
        path: `str` or `Path`. A UTF-8 file, optionally compressed.
        word_column: `int`, default 1. Counts from 1 forwards, or from -1 backwards.
        tag_column: `int` or `None`, default -1. Counts in the same way; `None` reads no tags.

    Raises:
        UserError: the file or the column does not exist.

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
            is_start = DOCUMENT_START in cells  # in any column
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
                    raise UserError(f"{path}: line {line.number} has a word but no tag; give each word a tag")
            if line.fault or len(cells) != num_columns:
                problem = f"has {len(cells)} columns in line {line.number}, but the first line has {num_columns}"
                fix = "complete the line: a word and its tags, separated by a tab or by blanks"
                sentence.fault = sentence.fault or line.fault or BadRow("number of columns", problem, fix)
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
        raise UserError(f"{path}: its lines have {num_columns} columns, so there is no column {column}; name another")
    return column - 1 if column > 0 else num_columns + column
