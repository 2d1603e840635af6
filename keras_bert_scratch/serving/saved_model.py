"""Asking an exported SavedModel from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations that the exported tokenizer consists of

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.data.columns import as_tensor
from keras_bert_scratch.tasks.data.table_formats import texts_in_memory
from keras_bert_scratch.tasks.task import TASK_FILE, Spec, get_task

SIGNATURE = "serving_default"


class SavedModel:
    """An exported model, loaded.

    Args:
        path: path. The SavedModel's folder.

    Raises:
        UserError: it cannot be loaded, or does not take raw text.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        try:
            self._loaded = tf.saved_model.load(str(path))  # keeps the weights alive
        except (OSError, ValueError, IndexError, tf.errors.OpError) as error:
            raise UserError(
                f"{path}: cannot be loaded as a SavedModel ({str(error).splitlines()[0]}); export it again"
            ) from None
        signatures = self._loaded.signatures
        inputs = signatures[SIGNATURE].structured_input_signature[1] if SIGNATURE in signatures else {}
        if not inputs or any(spec.dtype != tf.string for spec in inputs.values()):
            raise UserError(
                f"{path}: has no {SIGNATURE} signature that takes raw text; export it with 'keras-bert export'"
            )
        self._spec = Spec.load(path) if (path_of(path) / TASK_FILE).exists() else None
        self._optional = get_task(self._spec.task).optional_columns(self._spec) if self._spec else ()
        self.columns = self._spec.columns if self._spec else tuple(sorted(inputs))
        self.list_columns = tuple(name for name, spec in inputs.items() if spec.shape.rank == 2)
        self._serve = signatures[SIGNATURE]

    def predict(self, raw: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        """The answers about some rows, as the model that was exported gives them.

        Of a SavedModel of other people's they are the signature's outputs as they stand.

        Args:
            raw: mapping of the signature's inputs, equally long; optional ones may be left out.

        Raises:
            UserError: `raw` has other columns, or a value is no string; names the row.
        """
        if set(raw) - set(self._optional) != set(self.columns):
            raise UserError(f"{self.path}: takes {', '.join(self.columns)}, not {', '.join(raw)}; give just these")
        missing = {name: [""] * len(raw[self.columns[0]]) for name in self._optional if name not in raw}
        texts = texts_in_memory({**raw, **missing}, self.list_columns)
        tensors = {name: as_tensor(values, tf.string) for name, values in texts.items()}
        outputs = self._serve(**{name: _padded(values) for name, values in tensors.items()})
        names = list(outputs)
        rows = zip(*(_plain(value.numpy().tolist()) for value in outputs.values()), strict=True)
        answers = [dict(zip(names, row, strict=True)) for row in rows]
        return answers if self._spec is None else [get_task(self._spec.task).answer(self._spec, row) for row in answers]


def _padded(values: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    return values.to_tensor() if isinstance(values, tf.RaggedTensor) else values


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_plain(item) for item in value] if isinstance(value, list) else value
