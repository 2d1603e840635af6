"""Token counts of texts as the model reads them; they determine which texts share a batch."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

# Rows tokenized in one call, to bound its memory; fewer if a row may have hundreds of windows.
ROWS_AT_ONCE, WINDOWED_ROWS_AT_ONCE = 4096, 256


class TokenCounter:
    """Counts the tokens of rows; its graph is traced once for any number of rows.

    Args:
        task: Task. Its `features` build the rows.
        spec: Spec. With the columns.
        tokenizer: BertTokenizer. The model's tokenizer.
    """

    def __init__(self, task: Task, spec: Spec, tokenizer: Any) -> None:
        self._rows_at_once = WINDOWED_ROWS_AT_ONCE if task.is_windowed(spec) else ROWS_AT_ONCE
        self._features = functools.partial(task.features, spec, tokenizer)
        self._with_teacher_forcing = functools.partial(task.with_teacher_forcing, spec)
        self._graphs: dict[Any, Any] = {}

    def of_batch(
        self, raw: Mapping[str, Any], chosen: np.ndarray | None = None, gold: Mapping[str, Any] | None = None
    ) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        """Counts the tokens, windows and positions of one batch.

        Args:
            raw: columns.
            chosen: int `(rows,)` or `None`, default `None`. For each row, the index of the only window to count.
            gold: columns or `None`, default `None`. The gold columns, if the model reads them as input.

        Returns: the number of tokens in each window, int `(windows,)` (with several choices, or a text and its
            translation, the number in the longest); the number of windows in each row, int `(rows,)`; and
            `(tokens, positions)`, the tokens and all positions of the batch.
        """
        tensors = {"raw": as_tensors(raw)}
        if chosen is not None:
            tensors["chosen"] = tf.constant(chosen, tf.int32)
        if gold is not None:
            tensors["gold"] = as_tensors(gold)
        shapes = tf.nest.map_structure(_any_number_of_rows, tensors)
        key = repr(shapes)
        if key not in self._graphs:
            self._graphs[key] = tf.function(self._count, input_signature=[shapes], autograph=False)
        num_tokens, windows, *filled = self._graphs[key](tensors)
        return num_tokens.numpy(), windows.numpy(), tuple(map(int, filled))

    def _count(self, tensors: dict[str, Any]) -> tuple[tf.Tensor, ...]:
        features = self._features(tensors["raw"], tensors.get("chosen"))
        if "gold" in tensors:
            features = self._with_teacher_forcing(features, tensors["gold"])
        masks = [mask for name, mask in features.inputs.items() if name.endswith("padding_mask")]
        num_tokens = functools.reduce(tf.maximum, map(_longest, masks))
        windows = tf.ones_like(num_tokens) if features.windows is None else features.windows
        return num_tokens, windows, sum(map(tf.reduce_sum, masks)), sum(map(tf.size, masks))

    def __call__(
        self, raw: Mapping[str, Sequence[Any]], gold: Mapping[str, Sequence[Any]] | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The number of tokens in each window and of windows in each row, for any number of rows."""
        num_rows = len(next(iter(raw.values())))
        parts = []
        for start in range(0, num_rows, self._rows_at_once):
            rows = slice(start, start + self._rows_at_once)
            of_raw, of_gold = (
                columns and {name: values[rows] for name, values in columns.items()} for columns in (raw, gold)
            )
            parts.append(self.of_batch(of_raw, gold=of_gold)[:2])
        empty = np.zeros(0, np.int32)
        tokens, windows = zip((empty, empty), *parts, strict=True)
        return np.concatenate(tokens), np.concatenate(windows)


def _longest(mask: tf.Tensor) -> tf.Tensor:
    """The number of tokens in each row, or in the longest of its parts."""
    num_tokens = tf.reduce_sum(mask, axis=-1)
    while num_tokens.shape.rank > 1:
        num_tokens = tf.reduce_max(num_tokens, axis=-1)
    return num_tokens


def _any_number_of_rows(tensor: Any) -> Any:
    if isinstance(tensor, tf.RaggedTensor):
        return tf.RaggedTensorSpec([None, None], tensor.dtype, ragged_rank=1)
    return tf.TensorSpec([None], tensor.dtype)
