"""Signatures: any SavedModel that takes raw text; columns of strings in, arrays out."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations of the exported tokenizer

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.hub.address import HubAddress
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.tasks.data.bad_rows import with_report
from keras_bert_scratch.tasks.data.columns import as_tensor
from keras_bert_scratch.tasks.data.table_formats import IN_MEMORY, texts_in_memory
from keras_bert_scratch.tasks.data.tables import Column, TableReader, names_in_file
from keras_bert_scratch.tasks.evaluation import plain
from keras_bert_scratch.tasks.predictor import Answered, ignore
from keras_bert_scratch.transfer import files_at

SIGNATURE, SERVE_IDS, SERVE_EXAMPLES = "serving_default", "serve_ids", "serve_examples"
# Methods of TensorFlow Serving's API other than `predict`; signatures of the same names answer them.
CLASSIFY, REGRESS = "classify", "regress"
ATTENTION = "attention"  # attention weights; only in exports made with `attention=True`
# Signatures that take serialized `tf.train.Example`, and the name of their input.
OF_EXAMPLES = {SERVE_EXAMPLES: "examples", CLASSIFY: "inputs", REGRESS: "inputs"}
IDS = ("token_ids", "segment_ids", "padding_mask")
ROWS_AT_ONCE = 64
SUBFOLDERS = ("variables", "assets")


def count_name(column: str) -> str:
    """Returns the name of the input or output that counts the strings of a list column, per row."""
    return f"num_{column}"


def load_saved_model(folder: AnyPath, name: AnyPath | str) -> Any:
    """Loads the SavedModel in a folder.

    Args:
        folder: path. The folder.
        name: path. The folder as the user named it, for messages.

    Raises:
        UserError: it is damaged, or not a SavedModel.
    """
    try:
        return tf.saved_model.load(str(folder))
    except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
        raise UserError(
            f"{name}: cannot be loaded as a SavedModel ({str(error).splitlines()[0]}); export it again"
        ) from None


class Signatures:
    """A loaded SavedModel of which only the signatures are known.

    Args:
        path: path. The SavedModel's folder.

    Raises:
        UserError: it cannot be loaded, or does not take raw text.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        folder = path_of(path)
        if isinstance(folder, HubAddress):
            folder = folder.fetch(files_at(folder, SUBFOLDERS))
        self._loaded = load_saved_model(folder, path)  # keeps the weights alive
        found = self._loaded.signatures
        # By name, the columns of each signature that takes only strings and their counts.
        self._inputs = {
            name: columns
            for name in found
            if (columns := _without_counts(found[name].structured_input_signature[1]))
            and all(spec.dtype == tf.string for spec in columns.values())
            and name not in (*OF_EXAMPLES, ATTENTION)
        }
        if SIGNATURE not in self._inputs:
            raise UserError(
                f"{path}: has no {SIGNATURE} signature that takes raw text; export it with 'keras-bert export'"
            )
        self.columns = tuple(sorted(self._inputs[SIGNATURE]))

    def __call__(self, raw: Mapping[str, Sequence[Any]]) -> dict[str, np.ndarray]:
        """Returns the outputs of the signature that takes these columns, for all rows in one call.

        Args:
            raw: lists of strings, or of lists of strings, by column.

        Raises:
            UserError: no signature takes these columns.
        """
        signature, lists, counted = self._signature_for(raw)
        inputs = {column: as_tensor(values, tf.string) for column, values in raw.items()}
        for column in lists:
            values = inputs[column] if len(raw[column]) else tf.RaggedTensor.from_tensor(tf.zeros([0, 0], tf.string))
            inputs[column] = values.to_tensor()
            if column in counted:
                inputs[count_name(column)] = tf.cast(values.row_lengths(), tf.int32)
        outputs = signature(**inputs)
        return {output: values.numpy() for output, values in outputs.items()}

    def check(self, raw: Mapping[str, Sequence[Any]]) -> None:
        """Raises `UserError`, naming the row, if a list without a count ends in an empty string: it means padding."""
        _, lists, counted = self._signature_for(raw)
        for column in set(lists) - set(counted):
            for number, values in enumerate(raw[column], 1):
                if len(values) and not values[-1]:
                    raise UserError(
                        f"{IN_MEMORY}: row {number} has an empty string at the end of its {column}, which a SavedModel "
                        f"treats as padding; remove it, or use the model that was exported"
                    )

    def predict(self, raw: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Returns the outputs for each row by name, without decoding.

        Raises:
            UserError: `raw` has other columns, or a value is not a string; the message names the row.
        """
        _, lists, _ = self._signature_for(raw)
        texts = texts_in_memory(raw, lists)
        self.check(texts)
        outputs = self(texts)
        return [dict(zip(outputs, row, strict=True)) for row in zip(*map(plain, outputs.values()), strict=True)]

    def predict_file(
        self,
        data: AnyPath | str,
        header_names: Mapping[str, str],
        on_bad_row: str = "fail",
        show_progress: bool = False,
    ) -> Iterator[Answered]:
        """Yields each row of a table with its outputs, in constant memory; `show_progress` counts rows on stderr."""
        inputs, several = self._inputs[SIGNATURE], len(self.columns) > 1
        columns = [
            Column(name, kind="texts" if inputs[name].shape.rank == 2 else "text", flag="" if several else "text")
            for name in self.columns
        ]
        own = names_in_file(columns, header_names, data)
        reader = TableReader(data, columns, header_names=own, on_bad_row=on_bad_row)
        rows = (row.values for row in with_report(reader))
        with ProgressBar("answering", "rows") if show_progress else contextlib.nullcontext() as bar:
            count = bar.counter(None) if bar else ignore
            while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
                outputs = self.predict({name: [row[name] for row in some] for name in self.columns})
                count(len(some))
                yield from zip(some, outputs, strict=True)

    def _signature_for(self, raw: Mapping[str, Any]) -> tuple[Any, list[str], list[str]]:
        """Returns the signature that takes these columns, its list columns, and those lists that need a count."""
        for name, inputs in self._inputs.items():
            if set(inputs) == set(raw):
                signature = self._loaded.signatures[name]
                lists = [column for column in inputs if inputs[column].shape.rank == 2]
                given = signature.structured_input_signature[1]
                return signature, lists, [column for column in lists if count_name(column) in given]
        taken = ", or ".join(", ".join(sorted(inputs)) for inputs in self._inputs.values())
        raise UserError(
            f"{self.path}: takes {taken}, not {', '.join(raw)}; give exactly these columns, or export it again"
        )


def _without_counts(inputs: Mapping[str, tf.TensorSpec]) -> dict[str, tf.TensorSpec]:
    counts = {count_name(name) for name in inputs}
    return {name: spec for name, spec in inputs.items() if name not in counts}
