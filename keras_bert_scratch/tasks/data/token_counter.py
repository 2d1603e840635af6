"""How long texts are as the model reads them, which decides what shares a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.tasks.task import Raw, Spec, Task

ROWS_AT_ONCE = 4096  # tokenized in one call; bounds its memory


class TokenCounter:
    """Counts the tokens of rows; traced once, whatever the number of rows.

    Args:
        task: Task. Its `features` make the rows.
        spec: Spec. With the columns.
        tokenizer: BertTokenizer. Of the model.
    """

    def __init__(self, task: Task, spec: Spec, tokenizer: Any) -> None:
        columns = {name: tf.TensorSpec([None], tf.string) for name in spec.columns}

        @tf.function(input_signature=[columns], autograph=False)
        def count(raw: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            mask = task.features(spec, tokenizer, raw)["padding_mask"]
            return tf.reduce_sum(mask, axis=1), tf.shape(mask)[1]

        self._count = count

    def of_batch(self, raw: Raw) -> tuple[np.ndarray, int]:
        """The tokens of each row, int `(rows,)`, and how long the rows are in one batch, padding included."""
        num_tokens, length = self._count({name: tf.constant(list(values)) for name, values in raw.items()})
        return num_tokens.numpy(), int(length)

    def __call__(self, raw: Raw) -> np.ndarray:
        """The tokens of each row, int `(rows,)`, of any number of rows."""
        num_rows = len(next(iter(raw.values())))
        parts = [
            self.of_batch({name: values[start : start + ROWS_AT_ONCE] for name, values in raw.items()})[0]
            for start in range(0, num_rows, ROWS_AT_ONCE)
        ]
        return np.concatenate([np.zeros(0, np.int32), *parts])
