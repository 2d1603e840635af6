"""Multiple choice: which of several texts goes with a context (Devlin et al. 2019, section 4.4)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.multiple_choice import BertMultipleChoice
from keras_bert_scratch.tasks.data.bad_rows import BadRows, rows_without_fault
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.data.texts import row_length
from keras_bert_scratch.tasks.error_analysis import Breakdown, Confusion, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.packing import pack_segments, packed_lengths, trimmed_lengths

CONTEXT, CHOICES = "context", "choices"
COLUMNS = (
    Column(CONTEXT, ("question", "passage"), flag="text"),
    Column(CHOICES, ("options", "endings"), kind="texts", flag="pair"),
)
LABEL = Column("label", ("answer",), kind="label")


class Choice(Task):
    """Which of several choices goes with a context: rows `[CLS] context [SEP] choice [SEP]`, one for each choice.

    If context and choices are too long together, the context is truncated to the same pieces in every choice's row.
    """

    name = "choice"
    best_by = ("accuracy", "max")
    model_class = BertMultipleChoice
    columns = (CONTEXT, CHOICES)
    list_columns = (CHOICES,)
    outputs: ClassVar = {
        "label": "the index of the best choice, from 0",
        "choice": "the text of the best choice",
        "scores": "the probability of each choice",
        "num_choices": "the number of choices",
    }
    too_costly = "give fewer or shorter choices"

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        reader = _reader(source, spec, (*COLUMNS, LABEL), on_bad_row)
        bad = BadRows(reader.path, on_bad_row, "rows")
        raw: dict[str, list[Any]] = {CONTEXT: [], CHOICES: []}
        labels = []
        for row in reader:
            if bad.keeps(_fault(row.values[CHOICES], row.values["label"]), f"{reader.unit} {row.line}"):
                raw[CONTEXT].append(row.values[CONTEXT])
                raw[CHOICES].append(list(row.values[CHOICES]))
                labels.append(_number(row.values["label"]))
        bad.skipped.update(reader.skipped)
        bad.report()
        if not labels:
            raise UserError(f"{reader.path}: every row is bad; correct the file")
        spec = dataclasses.replace(spec, columns=(CONTEXT, CHOICES))
        digest = hashlib.sha256(json.dumps([raw, labels]).encode()).hexdigest()
        return spec, Examples(reader.path, raw, {"label": np.array(labels, np.int32)}, digest, bad.skipped)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        for row in rows_without_fault(_reader(source, spec, COLUMNS, on_bad_row), self.fault, on_bad_row):
            yield {**row.values, CHOICES: list(row.values[CHOICES])}

    def fault(self, row: Mapping[str, Any]) -> BadRow | None:
        return None if row[CHOICES] else BadRow("no choices", "has no choices", "give at least two")

    def sample(self, columns: Sequence[str], words: Sequence[str]) -> dict[str, Any]:
        return {CONTEXT: " ".join(words), CHOICES: [words[0], words[0]]}

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        choices = raw[CHOICES]
        contexts = tokenizer.tokenize(raw[CONTEXT])
        pieces = tokenizer.tokenize(choices.flat_values)  # (choices of all rows, None)
        row = choices.value_rowids()
        longest = tf.maximum(tf.math.unsorted_segment_max(_lengths(pieces), row, choices.nrows()), 0)
        token_counts = _lengths(contexts) + longest + 3
        kept, kept_of_choice = trimmed_lengths(_lengths(contexts), longest, spec.max_length - 3)
        contexts = _cut(tf.gather(contexts, row), tf.gather(kept, row))
        pieces = _cut(pieces, tf.gather(kept_of_choice, row))
        length = row_length(packed_lengths(contexts, pieces), spec)
        packed = pack_segments(contexts, pieces, length, tokenizer.vocabulary)

        # (rows, choices, length); absent choices consist of padding.
        padding = {"token_ids": tokenizer.vocabulary.pad_id, "segment_ids": 0, "padding_mask": 0}
        inputs = {name: choices.with_values(values).to_tensor(padding[name]) for name, values in packed.items()}
        return Features(inputs, token_counts, token_counts > spec.max_length, notes={"choices": choices})

    def num_sequences(self, spec: Spec, features: Features) -> tf.Tensor:
        return tf.cast(features.notes["choices"].row_lengths(), tf.int32)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return gold["label"], None

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`label`: the index of the best choice; `choice`: its text; `scores`, 0 for absent choices; `num_choices`."""
        choices = features.notes["choices"]
        label = tf.argmax(outputs, axis=-1, output_type=tf.int32)
        text = tf.gather(choices.to_tensor(), label, batch_dims=1)
        num_choices = tf.cast(choices.row_lengths(), tf.int32)
        return {"label": label, "choice": text, "scores": tf.nn.softmax(outputs), "num_choices": num_choices}

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        logits = self.call_model(model, inputs)
        num_choices = tf.reduce_sum(tf.reduce_max(inputs["padding_mask"], axis=-1), axis=-1)
        label = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return {"label": label, "scores": tf.nn.softmax(logits), "num_choices": num_choices}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        right = decoded["label"] == np.asarray(gold["label"])
        return {"accuracy": float(np.mean(right)), "random_guess": float(np.mean(1.0 / decoded["num_choices"]))}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        scores = row["scores"][: row["num_choices"]]
        return {"label": row["label"], "choice": row["choice"], "score": max(scores), "scores": scores}

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        if line["label"] == line["gold"]:
            return None
        right = line[CHOICES][line["gold"]]
        return WrongAnswer((line["score"],), {"gold": right, "answer": line["choice"], "score": line["score"]})

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        """By the index of the choice, as a model may have learnt the position of the right one."""
        numbers = [str(number) for number in range(max(len(line[CHOICES]) for line in lines))]
        return Confusion.of(numbers, (str(line["gold"]) for line in lines), (str(line["label"]) for line in lines))


def _reader(source: Any, spec: Spec, columns: tuple[Column, ...], on_bad_row: str) -> TableReader:
    names = names_in_file(columns, spec.header_names, source)
    return TableReader(source, columns, header_names=names, on_bad_row=on_bad_row)


def _number(label: str) -> int:
    """The index of a choice, from 0, from a number or a letter (A is 0); -1 for anything else."""
    if label.isdecimal() and label.isascii():
        return int(label)
    return ord(label) - ord("A") if len(label) == 1 and "A" <= label <= "Z" else -1


def _fault(choices: tuple[str, ...], label: str) -> BadRow | None:
    if len(choices) < 2:
        return BadRow("too few choices", f"has {len(choices)} choices", "give at least two")
    if not all(choice.strip() for choice in choices):
        return BadRow("empty choice", "has an empty choice", "complete it or remove it")
    if not 0 <= _number(label) < len(choices):
        fix = f"write the index of the right choice, from 0 to {len(choices) - 1}, or its letter"
        return BadRow("no such choice", f"has the label {label!r}, but {len(choices)} choices", fix)
    return None


def _lengths(rows: tf.RaggedTensor) -> tf.Tensor:
    return tf.cast(rows.row_lengths(), tf.int32)


def _cut(rows: tf.RaggedTensor, lengths: tf.Tensor) -> tf.RaggedTensor:
    """The first `lengths` values of each row, or all if it has fewer."""
    limits = rows.row_starts() + tf.minimum(rows.row_lengths(), tf.cast(lengths, tf.int64))
    index = tf.ragged.range(rows.row_starts(), limits)
    return index.with_flat_values(tf.gather(rows.flat_values, index.flat_values))


TASK = Choice()
