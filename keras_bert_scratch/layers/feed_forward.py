"""FeedForward: expand, GELU, project back, at each position separately."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dense import Dense


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class FeedForward(Configured, keras.layers.Layer):
    """gelu(x W1 + b1) W2 + b2, the same for every position (Vaswani et al. 2017, section 3.3, with BERT's GELU).

    Args:
        config: BertConfig. Sizes, and the activation function.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(batch, length, hidden_size)`; returns the same shape.

    Example:
        >>> from keras import ops
        >>> tuple(FeedForward(BertConfig(num_layers=1, hidden_size=8, num_heads=2))(ops.ones((1, 3, 8))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        spread = config.initializer_range
        self.intermediate = Dense(
            config.intermediate_size, config.activation, spread, dtype=self.dtype_policy, name="intermediate"
        )
        self.output_projection = Dense(config.hidden_size, "linear", spread, dtype=self.dtype_policy, name="output")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.intermediate.build(input_shape)
        self.output_projection.build((*input_shape[:-1], self.intermediate.units))

    def call(self, x: Any) -> Any:
        return self.output_projection(self.intermediate(x))
