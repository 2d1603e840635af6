"""Pooler: the vector of `[CLS]`, as the summary of the whole input."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.dense import Dense


class Pooler(keras.layers.Layer):
    """tanh(h W + b) of the first position (the vector C of Devlin et al. 2019, section 3; Google's `pooled_output`).

    Args:
        config: sizes.

    Call: `sequence_output` `(batch, length, hidden_size)` gives `(batch, hidden_size)`.

    Example:
        >>> from keras import ops
        >>> tuple(Pooler(BertConfig(num_layers=1, hidden_size=8, num_heads=2))(ops.ones((1, 3, 8))).shape)
        (1, 8)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = Dense(config.hidden_size, "tanh", config.initializer_range, dtype=self.dtype_policy, name="dense")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build((input_shape[0], input_shape[2]))

    def call(self, sequence_output: Any) -> Any:
        return self.dense(sequence_output[:, 0])
