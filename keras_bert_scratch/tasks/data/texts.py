"""Labelled texts or pairs of texts: how they are read, and the input rows of the model."""

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
# Row lengths are padded to a multiple of these. On a CPU a new length costs almost nothing (benchmarks/RESULTS.md,
# Padding); on a GPU or TPU, XLA recompiles the training step for each new length.
LENGTH_STEP, XLA_LENGTH_STEP = 2, 8

# A table's path, optionally with its column names (`NamedTable`), or columns in memory by name.
Source = Path | str | NamedTable | Mapping[str, Sequence[Any]]


def text_columns(spec: Spec) -> tuple[Column, ...]:
    """The text columns to read: those of the spec, or, if it has none yet, a text and an optional second text."""
    found = [column for column in (TEXT, PAIR) if not spec.columns or column.name in spec.columns]
    return tuple(dataclasses.replace(column, required=column.required or bool(spec.columns)) for column in found)


def read_texts(
    source: Source, spec: Spec, gold: Column, on_bad_row: str = "fail", required: tuple[str, ...] = ()
) -> tuple[Spec, Table]:
    """Reads a labelled table; returns the table and the spec, completed with the table's text columns.

    Args:
        source: a table's path, or columns in memory by name.
        spec: without columns for training data; otherwise the table must have the spec's columns.
        gold: the column with the gold labels.
        on_bad_row: `"fail"` raises at a bad row, `"skip"` skips and counts it.
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
    """Yields the texts of a table by column, in constant memory; other columns are not read."""
    columns = text_columns(spec)
    names = names_in_file(columns, spec.header_names, source)
    reader = TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)
    return (row.values for row in with_report(reader))


def with_known_labels(table: Table, column: str, known: Sequence[str], on_bad_row: str) -> Table:
    """The rows of a table whose labels are all known.

    Args:
        table: a table whose `column` holds a label or a tuple of labels.
        column: the role of the label column.
        known: names of the known labels.
        on_bad_row: `"fail"` raises at an unknown label, `"skip"` skips and counts its row.

    Raises:
        UserError: a label is unknown and `on_bad_row` is `"fail"`; or every row has an unknown label.
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
        raise UserError(f"{table.path}: no row has one of the labels {', '.join(known)}; correct the file")
    return table.rows(kept, bad.skipped)


def text_features(spec: Spec, tokenizer: Any, raw: Raw) -> Features:
    """Builds rows `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]`, as long as the longest of them.

    The length is rounded up, see `row_length`; rows longer than `spec.max_length` are truncated.
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
    """Builds rows from pieces, or pairs of pieces, `(rows, None)`; rows that are too long are truncated."""
    token_counts = packed_lengths(first, second)
    length = row_length(token_counts, spec)
    inputs = pack_segments(first, second, length, vocabulary)
    return Features(inputs, token_counts, token_counts > spec.max_length, notes=notes)


def row_length(lengths: tf.Tensor, spec: Spec) -> tf.Tensor:
    """The padded length of rows with these token counts, int32: the longest, rounded up, at most `spec.max_length`.

    It is rounded up to the next of `spec.row_lengths`. If there are none, it is rounded up to a multiple of 2, or of 8
    on a machine with a GPU or TPU.
    """
    longest = tf.reduce_max(tf.concat([tf.cast(lengths, tf.int32), [1]], axis=0))
    if spec.row_lengths:
        return tf.gather(spec.row_lengths, tf.searchsorted(tf.constant(spec.row_lengths[:-1], tf.int32), [longest])[0])
    step = XLA_LENGTH_STEP if any(map(tf.config.list_physical_devices, ("GPU", "TPU"))) else LENGTH_STEP
    return tf.minimum((longest + step - 1) // step * step, spec.max_length)
