"""From a block of raw text to the sentences of its documents.

This is the slow part of reading. It runs in worker processes, which start quickly: nothing here needs TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator

from keras_bert_scratch.data.corpus.blocks import MAX_DOCUMENT_BYTES, Block, TextChunk
from keras_bert_scratch.data.corpus.form import CorpusForm
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.sentences import split_sentences

MAX_SENTENCE_CHARACTERS = 10_000

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass
class SplitBlock:
    """The sentences of a block's documents, and counts of what was left out or changed.

    Args:
        sentences: list of str. All of them, in order.
        document_lengths: list of int. Number of sentences of each document, at least 1.
        text_bytes: int. Bytes of text read.
        replaced_bytes: int. Replacements made where bytes were not UTF-8.
        empty_documents: int. Rows and files without text, which are left out.
        cut_documents: int. Documents that were cut because they were too long.
    """

    sentences: list[str] = dataclasses.field(default_factory=list)
    document_lengths: list[int] = dataclasses.field(default_factory=list)
    text_bytes: int = 0
    replaced_bytes: int = 0
    empty_documents: int = 0
    cut_documents: int = 0

    def documents(self) -> Iterator[list[str]]:
        """The documents one by one, each a list of sentences."""
        start = 0
        for length in self.document_lengths:
            yield self.sentences[start : start + length]
            start += length


def split_block(block: Block, form: CorpusForm) -> SplitBlock:
    r"""Splits `block` into the sentences of its documents.

    Raises:
        UserError: bytes that are not UTF-8, a row that is not JSON or lacks the field; names the file and the line.

    Example:
        >>> from keras_bert_scratch.data.corpus.blocks import Block, TextChunk
        >>> chunk = TextChunk("sky.txt", "text", 1, (b"The sky is blue. It may rain.\n\nA new document.",))
        >>> split_block(Block((chunk,)), CorpusForm())
        SplitBlock(sentences=['The sky is blue.', 'It may rain.', 'A new document.'], document_lengths=[2, 1],
                   text_bytes=46, replaced_bytes=0, empty_documents=0, cut_documents=0)
    """
    split = SplitBlock()
    for chunk in block.chunks:
        if chunk.kind == "text":
            _split_text(chunk, form, split)
        elif chunk.kind == "jsonl":
            _split_rows(_json_texts(chunk, form, split), form, split)
        else:
            _split_rows(_texts(chunk, form, split), form, split)
    return split


def _split_text(chunk: TextChunk, form: CorpusForm, split: SplitBlock) -> None:
    before = len(split.document_lengths)
    split.text_bytes += chunk.num_bytes
    split.cut_documents += chunk.begins_cut_document
    start = len(split.sentences)
    for line in _decoded(chunk.items[0], chunk, chunk.first_number, "line", form, split).split("\n"):
        if line and not line.isspace():
            split.sentences += _sentences(line, form)
        elif form.documents == "blank-lines" and len(split.sentences) > start:
            split.document_lengths.append(len(split.sentences) - start)
            start = len(split.sentences)
    if len(split.sentences) > start:
        split.document_lengths.append(len(split.sentences) - start)
    split.empty_documents += chunk.first_number == 1 and len(split.document_lengths) == before


def _split_rows(texts: Iterable[str], form: CorpusForm, split: SplitBlock) -> None:
    for text in texts:
        documents = list(_pieces(text, MAX_DOCUMENT_BYTES))  # in characters: at most four times as many bytes
        split.cut_documents += len(documents) > 1
        split.empty_documents += not documents
        for document in documents:
            start = len(split.sentences)
            for line in document.split("\n"):
                if line and not line.isspace():
                    split.sentences += _sentences(line, form)
            split.document_lengths.append(len(split.sentences) - start)


def _texts(chunk: TextChunk, form: CorpusForm, split: SplitBlock) -> Iterator[str]:
    split.text_bytes += chunk.num_bytes
    for number, row in enumerate(chunk.items, chunk.first_number):
        yield _decoded(row, chunk, number, "row", form, split)


def _json_texts(chunk: TextChunk, form: CorpusForm, split: SplitBlock) -> Iterator[str]:
    lines = _decoded(chunk.items[0], chunk, chunk.first_number, "line", form, split).split("\n")
    for number, line in enumerate(lines, chunk.first_number):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{chunk.path}: line {number} is not valid JSON ({error}); fix or remove it") from None
        if not isinstance(row, dict) or form.text_field not in row:
            names = ", ".join(row) if isinstance(row, dict) else "none"
            raise UserError(
                f"{chunk.path}: line {number} has no field {form.text_field!r}; set `text_field` to one of {names}"
            )
        text = "" if row[form.text_field] is None else row[form.text_field]
        if not isinstance(text, str):
            raise UserError(
                f"{chunk.path}: line {number} has no text in the field {form.text_field!r}; fix or remove it"
            )
        text = _without_lone_surrogates(text, chunk, number, form, split)
        split.text_bytes += len(text.encode())
        yield text


def _without_lone_surrogates(text: str, chunk: TextChunk, number: int, form: CorpusForm, split: SplitBlock) -> str:
    r"""JSON can contain half of a surrogate pair, such as \ud83d; UTF-8 cannot encode it, so it counts as bad bytes."""
    clean = _LONE_SURROGATE.sub("�", text)
    if clean != text and form.bad_bytes == "fail":
        raise UserError(
            f"{chunk.path}: line {number} contains half of a surrogate pair; fix it, or give `bad_bytes='replace'`"
        )
    split.replaced_bytes += clean.count("�") - text.count("�")
    return clean


def _sentences(line: str, form: CorpusForm) -> list[str]:
    sentences = split_sentences(line) if form.sentences == "split" else [line.strip()]
    if len(line) <= MAX_SENTENCE_CHARACTERS:
        return sentences
    return [piece for sentence in sentences for piece in _pieces(sentence, MAX_SENTENCE_CHARACTERS)]


def _pieces(text: str, limit: int) -> Iterator[str]:
    """`text` in pieces of at most `limit` characters, cut at white space where there is any; none for a blank text."""
    start = 0
    while len(text) - start > limit:
        head = text[start : start + limit]
        torn_word = "" if head[-1].isspace() else head.rsplit(maxsplit=1)[-1]
        end = limit - len(torn_word) or limit
        if piece := head[:end].strip():
            yield piece
        start += end
    if rest := text[start:].strip():
        yield rest


def _decoded(data: bytes, chunk: TextChunk, number: int, unit: str, form: CorpusForm, split: SplitBlock) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if form.bad_bytes == "fail":
            if unit == "line":
                number += data.count(b"\n", 0, error.start)
            column = error.start - (data.rfind(b"\n", 0, error.start) + 1 if unit == "line" else 0)
            raise UserError(
                f"{chunk.path}: {unit} {number} is not UTF-8 ({error.reason} at byte {column}); convert it, for "
                f"instance with 'iconv -f latin1 -t utf-8', or give `bad_bytes='replace'`"
            ) from None
    text = data.decode(errors="replace")
    split.replaced_bytes += text.count("�") - data.count("�".encode())
    return text


def exit_with_parent(parent: int) -> None:
    """Ends this process when its parent process `parent` has ended, even by SIGKILL."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
