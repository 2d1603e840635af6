"""SavedModel: an exported model that predicts and is evaluated like the model that it was exported from."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import files_below, path_of
from keras_bert_scratch.serving.signatures import Signatures
from keras_bert_scratch.tasks.data.columns import in_order
from keras_bert_scratch.tasks.data.length_bucketing import sorted_batches
from keras_bert_scratch.tasks.predictor import BATCH_SIZE, Predictor, ignore
from keras_bert_scratch.tasks.spec import Spec


class SavedModel(Predictor):
    """A loaded export of `export_saved_model`. It reports no loss: an export has no training objectives.

    Args:
        path: path. The SavedModel's folder.

    Raises:
        UserError: it cannot be loaded, does not take raw text, or has no `task.json`, which names its task.
    """

    rows_at_once = 512  # outputs may be large

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self._signatures = Signatures(path)
        if not (path_of(path) / TASK_FILE).exists():
            raise UserError(
                f"{path}: has no {TASK_FILE}, which names the task of a SavedModel; export it again with "
                f"'keras-bert export'"
            )
        self.spec = Spec.load(path)

    @functools.cached_property
    def digest(self) -> str:
        digest = hashlib.sha256()
        for file in files_below(path_of(self.path)):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    def with_prediction_options(self, **options: Any) -> SavedModel:
        for name in options:
            raise UserError(
                f"`{name}`: the options of {self.path} were fixed at export; leave it out, or export the model with it"
            )
        return self

    def with_options(self, options: Mapping[str, Any]) -> SavedModel:
        names = sorted(name for name in options if options[name] != self.spec.options.get(name))
        raise UserError(
            f"{self.path}: was exported with other values of {', '.join(names)} than this data needs; use the model "
            "that it was exported from"
        )

    def decoded(
        self,
        raw: Mapping[str, Sequence[Any]],
        gold: Mapping[str, Any] | None = None,
        on_batch: Callable[[int], None] = ignore,
    ) -> tuple[dict[str, np.ndarray], None]:
        """As `Predictor.decoded`; rows with similar numbers of characters share a batch."""
        self._signatures.check(raw)
        lengths = np.sum([[_length(value) for value in values] for values in raw.values()], axis=0, dtype=np.int64)
        # A token has one character or more, so hardly any row has more windows than this, even if windows overlap.
        windows = 1 + lengths // self.spec.max_length if self.task.is_windowed(self.spec) else None
        batches = sorted_batches(lengths, BATCH_SIZE, windows)
        parts = []
        for rows in batches:
            parts.append(self._signatures({name: [values[row] for row in rows] for name, values in raw.items()}))
            on_batch(len(rows))
        return in_order(parts, batches), None


def _length(value: str | Sequence[str]) -> int:
    return len(value) if isinstance(value, (str, bytes)) else sum(map(len, value))
