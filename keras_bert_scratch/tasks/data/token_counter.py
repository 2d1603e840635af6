"""How long texts are as the model reads them, which decides what shares a batch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

# Tokenized in one call, which bounds its memory; and where a row may have hundreds of windows.
ROWS_AT_ONCE, WINDOWED_ROWS_AT_ONCE = 4096, 256


class TokenCounter:
    """Counts the tokens of rows; traced once, whatever the number of rows.

    Args:
        task: Task. Its `features` make the rows.
        spec: Spec. With the columns.
        tokenizer: BertTokenizer. Of the model.
    """

    def __init__(self, task: Task, spec: Spec, tokenizer: Any) -> None:
        self._rows_at_once = WINDOWED_ROWS_AT_ONCE if task.windowed else ROWS_AT_ONCE
        self._features = functools.partial(task.features, spec, tokenizer)
        self._graphs: dict[Any, Any] = {}

    def of_batch(
        self, raw: Mapping[str, Any], chosen: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        """What one batch holds.

        Args:
            raw: columns.
            chosen: int `(rows,)` or `None`, default `None`. The number of one window of each row, in place of all.

        Returns: the tokens of each window, int `(windows,)`, of several choices those of the longest; the windows of
            each row, int `(rows,)`; and of how many positions of the batch how many are tokens, `(tokens, positions)`.
        """
        tensors = as_tensors(raw)
        if chosen is not None:
            tensors["chosen"] = tf.constant(chosen, tf.int32)
        shapes = {name: _any_number_of_rows(tensor) for name, tensor in tensors.items()}
        key = tuple(sorted((name, repr(shape)) for name, shape in shapes.items()))
        if key not in self._graphs:
            self._graphs[key] = tf.function(self._count, input_signature=[shapes], autograph=False)
        num_tokens, windows, *filled = self._graphs[key](tensors)
        return num_tokens.numpy(), windows.numpy(), tuple(map(int, filled))

    def _count(self, tensors: dict[str, Any]) -> tuple[tf.Tensor, ...]:
        raw = {name: tensor for name, tensor in tensors.items() if name != "chosen"}
        features = self._features(raw, tensors.get("chosen"))
        mask = features.inputs["padding_mask"]
        num_tokens = tf.reduce_sum(mask, axis=-1)
        while num_tokens.shape.rank > 1:
            num_tokens = tf.reduce_max(num_tokens, axis=-1)
        windows = tf.ones_like(num_tokens) if features.windows is None else features.windows
        return num_tokens, windows, tf.reduce_sum(mask), tf.size(mask)

    def __call__(self, raw: Mapping[str, Sequence[Any]]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of each window and the windows of each row, of any number of rows."""
        num_rows = len(next(iter(raw.values())))
        parts = [
            self.of_batch({name: values[start : start + self._rows_at_once] for name, values in raw.items()})[:2]
            for start in range(0, num_rows, self._rows_at_once)
        ]
        empty = np.zeros(0, np.int32)
        tokens, windows = zip((empty, empty), *parts, strict=True)
        return np.concatenate(tokens), np.concatenate(windows)


def _any_number_of_rows(tensor: Any) -> Any:
    if isinstance(tensor, tf.RaggedTensor):
        return tf.RaggedTensorSpec([None, None], tensor.dtype, ragged_rank=1)
    return tf.TensorSpec([None], tensor.dtype)
