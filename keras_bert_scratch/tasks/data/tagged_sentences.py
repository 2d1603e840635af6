"""Tagged sentences: from CoNLL files, or from tables with a list of words and a list of tags in each row."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.bad_rows import BadRows, with_report
from keras_bert_scratch.tasks.data.conll import DOCUMENT_START, read_sentences
from keras_bert_scratch.tasks.data.document_context import AFTER, BEFORE, sentences_with_context
from keras_bert_scratch.tasks.data.headers import first_line_cells, names_column
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.table_formats import IN_MEMORY, table_ending
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.entities import OUTSIDE, entities_of, iob2_tags, is_tag, types_of
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.tag_schemes import iob2_labels, label_types, tags_in_scheme

TEXT, WORDS, TAGS = "text", "words", "tags"
CLASSES = "classes"  # beside the gold tags: what the model should predict, if its labels are not the IOB2 tags
WORD_LISTS = Column(WORDS, ("tokens",), kind="texts", flag="text")
TEXTS = Column(TEXT, ("sentence",), required=False)
TAG_LISTS = Column(TAGS, ("ner_tags", "labels"), kind="texts", flag="label")
# Endings of tables that can hold a list in a cell; every other file with tags is a CoNLL file.
TABLES = (".jsonl", ".json", ".parquet")

# Read from a table if the model uses document context: sentences with the same value belong to one document.
DOCUMENTS = Column("document", required=False, kind="label")

# (location, document, words, tags, fault)
Sentence = tuple[str, Any, Sequence[str], Sequence[str], BadRow | None]
log = logging.getLogger(__name__)


def read_tagged(source: Any, spec: Spec, on_bad_row: str) -> tuple[Spec, Examples]:
    """Reads tagged sentences; converts tags of any scheme to IOB2 and takes the spec's labels from training data.

    Args:
        source: a file's path, or columns in memory.
        spec: without labels for training data. Its `header_names` may name the columns, in a CoNLL file by number.
        on_bad_row: `"fail"` raises at a bad sentence, `"skip"` skips and counts it.

    Raises:
        UserError: a sentence is bad (the message names its line), or every tag is `O`.
    """
    origin = IN_MEMORY if isinstance(source, Mapping) else str(source)
    bad = BadRows(origin, on_bad_row, "sentences")
    words, tags, documents = [], [], []
    known = set(label_types(spec.labels))
    for where, document, sentence, labels, fault in _sentences(source, spec, on_bad_row, bad.skipped):
        if bad.keeps(fault or _fault(sentence, labels, known), f"the sentence at {where}"):
            words.append(list(sentence))
            tags.append(entities_of(labels))
            documents.append(document)
    bad.report()
    if not words:
        raise UserError(f"{origin}: holds no sentences; give a file with a word and its tag on each line")
    if not spec.labels:
        types = types_of(tags)
        if not types:
            raise UserError(f"{origin}: every tag is O; give sentences with entities")
        labels = (OUTSIDE, *(f"{prefix}-{type_}" for type_ in types for prefix in "BI"))
        spec = dataclasses.replace(spec, columns=(TEXT,), labels=labels)
    iob2 = [iob2_tags(entities, len(row)) for row, entities in zip(words, tags, strict=True)]
    gold = {TAGS: _numbers(iob2, iob2_labels(spec.labels))}
    if iob2_labels(spec.labels) != spec.labels:
        own = [tags_in_scheme(entities, len(row), spec.labels) for row, entities in zip(words, tags, strict=True)]
        gold[CLASSES] = _numbers(own, spec.labels)
    content: list[Any] = [words, iob2]
    raw: dict[str, Any] = {WORDS: words}
    if spec.options.get("document_context"):
        _warn_if_no_boundaries(origin, documents)
        around = list(sentences_with_context(zip(documents, words, strict=True), spec.max_length))
        raw |= {BEFORE: [before for _, before, _ in around], AFTER: [after for *_, after in around]}
        content += [raw[BEFORE], raw[AFTER]]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return spec, Examples(origin, raw, gold, digest, bad.skipped)


def _numbers(tags: Sequence[Sequence[str]], labels: Sequence[str]) -> list[list[int]]:
    number_of = {label: number for number, label in enumerate(labels)}
    return [[number_of[tag] for tag in row] for row in tags]


def unlabelled_sentences(source: Any, spec: Spec, on_bad_row: str) -> Iterator[Mapping[str, Any]]:
    """Yields each sentence as `{"words": [...]}` or `{"text": "..."}`, whichever the file has.

    Words come with their document context if the model uses it; a text has no context.
    """
    rows = _unlabelled(source, spec, on_bad_row)
    first = next(rows, None)
    rows = itertools.chain([] if first is None else [first], rows)
    if first is None or WORDS not in first[1] or not spec.options.get("document_context"):
        yield from (row for _, row in rows)
        return
    documents: set[Any] = set()

    def words_of_documents() -> Iterator[tuple[Any, Sequence[str]]]:
        for document, row in rows:
            documents.add(document)
            yield document, row[WORDS]

    for words, before, after in sentences_with_context(words_of_documents(), spec.max_length):
        yield {WORDS: words, BEFORE: before, AFTER: after}
    _warn_if_no_boundaries(source, documents)


def _unlabelled(source: Any, spec: Spec, on_bad_row: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yields each sentence with its document, `None` if the file names no document."""
    path = str(source)
    if _is_table(path) or table_ending(path) == ".csv" or _names_texts(path):
        columns = [dataclasses.replace(WORD_LISTS, required=False), TEXTS]
        columns += _document_columns(spec)
        names = names_in_file(columns, spec.header_names, source)
        for row in with_report(TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)):
            document = row.values.pop(DOCUMENTS.name, None)
            if not row.values:
                raise UserError(f"{path}: has neither a column 'text' nor 'words'; name one with `text_column='...'`")
            given = WORDS if WORDS in row.values else TEXT
            yield document, {given: list(row.values[WORDS]) if given == WORDS else row.values[TEXT]}
        return
    word_column, _ = _columns(spec)
    bad = BadRows(path, on_bad_row, "sentences")
    for number, sentence in enumerate(read_sentences(path, word_column, None)):
        if not number:
            _check_tags(path, sentence.first_cells, spec)
        if bad.keeps(sentence.fault, f"the sentence at line {sentence.line}"):
            yield sentence.document or None, {WORDS: sentence.words}
    bad.report()


def _sentences(source: Any, spec: Spec, on_bad_row: str, skipped: collections.Counter[str]) -> Iterator[Sentence]:
    if isinstance(source, Mapping) or _is_table(str(source)):
        columns = (WORD_LISTS, TAG_LISTS, *_document_columns(spec))
        names = names_in_file(columns, spec.header_names, source)
        reader = TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)
        for row in reader:
            document = row.values.get(DOCUMENTS.name)
            yield f"{reader.unit} {row.line}", document, row.values[WORDS], row.values[TAGS], None
        skipped.update(reader.skipped)
        return
    for found in read_sentences(source, *_columns(spec)):
        yield f"line {found.line}", found.document or None, found.words, found.tags, found.fault


def _document_columns(spec: Spec) -> list[Column]:
    return [DOCUMENTS] if spec.options.get("document_context") else []


def _warn_if_no_boundaries(source: Any, documents: Iterable[Any]) -> None:
    if not any(documents):
        how = f"lines with {DOCUMENT_START}, or a column {DOCUMENTS.name!r}"
        log.warning("%s: has no document boundaries (%s); its sentences are treated as one document", source, how)


def _is_table(path: str) -> bool:
    return path.startswith(TFDS_PREFIX) or table_ending(path) in TABLES


def _names_texts(path: str) -> bool:
    """Whether the first line is the header of a table of running text."""
    if table_ending(path) not in (".tsv", ".txt"):
        return False
    cells = first_line_cells(path)
    return names_column(cells, TEXTS) and not any(map(is_tag, cells))


def _check_tags(path: str, cells: list[str], spec: Spec) -> None:
    """Raises `UserError` if the word column is not named and `cells`, the first line, has no tag.

    Otherwise running text would be read as words with tags.
    """
    _, tag_column = _columns(spec)
    at = tag_column - 1 if tag_column > 0 else tag_column
    tag = cells[at] if -len(cells) <= at < len(cells) else None
    if WORD_LISTS.role not in spec.header_names and len(cells) > 1 and not is_tag(tag or ""):
        raise UserError(
            f"{path}: its first line has no tag, but {cells[-1]!r}; put running text into a table with a column "
            f"{TEXT!r}; for a CoNLL file without tags, name the column of the words, as in `text_column='1'`"
        )


def _columns(spec: Spec) -> tuple[int, int]:
    """The numbers of the word column and the tag column of a CoNLL file."""
    names = names_in_file((WORD_LISTS, TAG_LISTS), spec.header_names, None)
    try:
        return int(names.get(WORDS, 1)), int(names.get(TAGS, -1))
    except ValueError:
        given = " and ".join(map(repr, names.values()))
        raise UserError(
            f"`text_column`, `label_column`: must be numbers for a CoNLL file, from 1 or backwards from -1, not {given}"
        ) from None


def _fault(words: Sequence[str], tags: Sequence[str], known: set[str]) -> BadRow | None:
    """What is wrong with a sentence, if anything."""
    if len(words) != len(tags):
        problem = f"has {len(words)} words, but {len(tags)} tags"
        return BadRow("number of tags", problem, "give each word a tag")
    if not words:
        return BadRow("no words", "has no words", "remove it")
    for word, tag in zip(words, tags, strict=True):
        if not is_tag(tag):
            problem = f"has the word {word!r} with the tag {tag!r}, which is not a valid tag"
            return BadRow("no tag", problem, "write O, or B-, I-, E-, S- (L-, U-) and a type")
        if known and tag != OUTSIDE and tag[2:] not in known:
            problem = f"has the word {word!r} with the tag {tag!r}, whose type is not one of {', '.join(sorted(known))}"
            return BadRow("unknown type", problem, "correct it, or train with it")
    return None
