"""Texts, or pairs of texts, with something to tell about each: reading them, and the rows that a model reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.bad_rows import BadRows, report_skipped, with_report
from keras_bert_scratch.tasks.data.labels import unknown_label
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.tables import Column, Table, TableReader, names_in_file, read_table
from keras_bert_scratch.tasks.examples import Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.packing import pack_segments, packed_lengths
from keras_bert_scratch.text.vocabulary import Vocabulary

TEXT = Column("text", ("sentence", "sentence1"))
PAIR = Column("text_pair", ("sentence2",), required=False, flag="pair")
# Rows are padded to a multiple of it. A new length costs a processor next to nothing (benchmarks/RESULTS.md, Padding);
# on a GPU or TPU, XLA compiles the training step anew for each.
LENGTH_STEP, XLA_LENGTH_STEP = 2, 8

# A table's path, perhaps with what it calls its columns, or columns in memory by name.
Source = Path | str | NamedTable | Mapping[str, Sequence[Any]]


def text_columns(spec: Spec) -> tuple[Column, ...]:
    """The columns of strings to look for: those of the spec, or where it has none yet a text and perhaps a pair."""
    found = [column for column in (TEXT, PAIR) if not spec.columns or column.name in spec.columns]
    return tuple(dataclasses.replace(column, required=column.required or bool(spec.columns)) for column in found)


def read_texts(
    source: Source, spec: Spec, gold: Column, on_bad_row: str = "fail", required: tuple[str, ...] = ()
) -> tuple[Spec, Table]:
    """A labelled table, and the spec with the columns that it has.

    Args:
        source: a table's path, or columns in memory by name.
        spec: without columns for training data; else its columns must be there.
        gold: the column that says what is right.
        on_bad_row: `"fail"`, or `"skip"` and count.
        required: columns that training data must have.
    """
    columns = (*text_columns(dataclasses.replace(spec, columns=spec.columns or required)), gold)
    names = names_in_file(columns, spec.header_names, source)
    table = read_table(source, columns, header_names=names, on_bad_row=on_bad_row)
    report_skipped(table.path, table.skipped)
    if not spec.columns:
        found = tuple(column.name for column in (TEXT, PAIR) if column.name in table.columns)
        spec = dataclasses.replace(spec, columns=found)
    return spec, table


def texts_of(source: Source, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, str]]:
    """Yields the texts of a table by column, in flat memory; what else is in the table is not read."""
    columns = text_columns(spec)
    names = names_in_file(columns, spec.header_names, source)
    reader = TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)
    return (row.values for row in with_report(reader))


def with_known_labels(table: Table, column: str, known: Sequence[str], on_bad_row: str) -> Table:
    """The rows of a table whose labels a task knows.

    Args:
        table: its `column` holds a label, or a tuple of labels.
        column: the role of the labels.
        known: their names.
        on_bad_row: `"fail"`, or `"skip"` and count.

    Raises:
        UserError: a label is not known, and bad rows are errors; or every row has such a label.
    """
    bad = BadRows(table.path, on_bad_row, "rows")
    kept = []
    for number, (line, value) in enumerate(zip(table.lines, table.columns[column], strict=True)):
        labels = (value,) if isinstance(value, str) else value
        fault = next((unknown_label(label, known) for label in labels if label not in known), None)
        if bad.keeps(fault, f"{table.unit} {line}"):
            kept.append(number)
    bad.report()
    if not kept:
        raise UserError(f"{table.path}: every row has a label that is none of {', '.join(known)}; correct the file")
    return table.rows(kept, bad.skipped)


def text_features(spec: Spec, tokenizer: Any, raw: Raw) -> Features:
    """Rows `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]`, as long as the longest of them needs.

    The length is rounded up, see `row_length`; texts longer than `spec.max_length` are trimmed.
    """
    first = tokenizer.tokenize(raw["text"])
    second = tokenizer.tokenize(raw["text_pair"]) if "text_pair" in spec.columns else None
    return packed_features(spec, first, second, tokenizer.vocabulary)


def packed_features(
    spec: Spec,
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None,
    vocabulary: Vocabulary,
    notes: Mapping[str, Any] = MappingProxyType({}),
) -> Features:
    """The rows of pieces, or pairs of pieces, `(rows, None)`; what does not fit into a row is trimmed."""
    token_counts = packed_lengths(first, second)
    length = row_length(token_counts, spec)
    inputs = pack_segments(first, second, length, vocabulary)
    return Features(inputs, token_counts, token_counts > spec.max_length, notes=notes)


def row_length(lengths: tf.Tensor, spec: Spec) -> tf.Tensor:
    """How long rows are that hold so many tokens, int32: the longest, rounded up, and at most `spec.max_length`.

    It is rounded up to the next of `spec.row_lengths`, or without these to a multiple of 2, of 8 where there is a GPU
    or TPU.
    """
    longest = tf.reduce_max(tf.concat([tf.cast(lengths, tf.int32), [1]], axis=0))
    if spec.row_lengths:
        return tf.gather(spec.row_lengths, tf.searchsorted(tf.constant(spec.row_lengths[:-1], tf.int32), [longest])[0])
    step = XLA_LENGTH_STEP if any(map(tf.config.list_physical_devices, ("GPU", "TPU"))) else LENGTH_STEP
    return tf.minimum((longest + step - 1) // step * step, spec.max_length)
