"""Asking an exported SavedModel from Python."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations that the exported tokenizer consists of

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import files_below, path_of
from keras_bert_scratch.tasks.data.columns import as_tensor
from keras_bert_scratch.tasks.data.table_formats import texts_in_memory
from keras_bert_scratch.tasks.task import TASK_FILE, Spec, get_task

SIGNATURE = "serving_default"
ROWS_AT_ONCE = 64  # of a stream, in one call


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
        self.columns = self._spec.columns if self._spec else tuple(sorted(inputs))
        self.list_columns = tuple(name for name, spec in inputs.items() if spec.shape.rank == 2)
        self._serve = signatures[SIGNATURE]

    @property
    def task(self) -> str | None:
        """What it was exported for, where its folder says so."""
        return self._spec and self._spec.task

    @functools.cached_property
    def digest(self) -> str:
        """A name for its files: two of one name give the same answers."""
        digest = hashlib.sha256()
        for file in files_below(path_of(self.path)):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def predict(self, raw: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
        """The answers about some rows, as the model that was exported gives them.

        Of a SavedModel of other people's they are the signature's outputs as they stand.

        Args:
            raw: mapping of the signature's inputs, equally long.

        Raises:
            UserError: `raw` has other columns, or a value is no string; names the row.
        """
        if set(raw) != set(self.columns):
            raise UserError(f"{self.path}: takes {', '.join(self.columns)}, not {', '.join(raw)}; give just these")
        texts = texts_in_memory(raw, self.list_columns)
        tensors = {name: as_tensor(values, tf.string) for name, values in texts.items()}
        outputs = self._serve(**{name: _padded(values) for name, values in tensors.items()})
        names = list(outputs)
        rows = zip(*(_plain(value.numpy().tolist()) for value in outputs.values()), strict=True)
        answers = [dict(zip(names, row, strict=True)) for row in rows]
        return answers if self._spec is None else [get_task(self._spec.task).answer(self._spec, row) for row in answers]

    def predict_stream(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
        """Yields each of the rows with its answer, in their order, in flat memory."""
        rows = iter(rows)
        while some := list(itertools.islice(rows, ROWS_AT_ONCE)):
            raw = {name: [row[name] for row in some] for name in self.columns}
            yield from zip(some, self.predict(raw), strict=True)


def _padded(values: tf.Tensor | tf.RaggedTensor) -> tf.Tensor:
    return values.to_tensor() if isinstance(values, tf.RaggedTensor) else values


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return [_plain(item) for item in value] if isinstance(value, list) else value
