"""Pooler: a summary vector of the text, computed from the vector of `[CLS]`."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.positions import gather_positions


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Pooler(Configured, keras.layers.Layer):
    """tanh(h W + b) of the first position (the vector C of Devlin et al. 2019, section 3; Google's `pooled_output`).

    Args:
        config: BertConfig. Sizes.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `sequence_output`, float `(batch, length, hidden_size)`; returns `(batch, hidden_size)`. With the
    `example_starts` of packed rows, int `(batch, max_examples)`, it pools those positions and returns
    `(batch, max_examples, hidden_size)`.

    Example:
        >>> from keras import ops
        >>> tuple(Pooler(BertConfig(num_layers=1, hidden_size=8, num_heads=2))(ops.ones((1, 3, 8))).shape)
        (1, 8)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.dense = Dense(config.hidden_size, "tanh", config.initializer_range, dtype=self.dtype_policy, name="dense")

    def build(
        self,
        sequence_output_shape: tuple[int | None, ...],
        example_starts_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.dense.build((sequence_output_shape[0], sequence_output_shape[2]))

    def call(self, sequence_output: Any, example_starts: Any = None) -> Any:
        if example_starts is None:
            return self.dense(sequence_output[:, 0])
        return self.dense(gather_positions(sequence_output, example_starts))
