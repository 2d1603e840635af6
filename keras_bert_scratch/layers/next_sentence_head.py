"""NextSentenceHead: does sentence B follow sentence A?"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dense import Dense, head_dtype


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class NextSentenceHead(Configured, keras.layers.Layer):
    """Two logits from the pooled vector: class 0 "B is next", class 1 "B is random" (Devlin et al. 2019, 3.1, Task 2).

    Args:
        config: BertConfig. Sizes.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `pooled_output`, float `(batch, hidden_size)`; returns float32 logits `(batch, 2)`. For packed rows,
    `(batch, max_examples, hidden_size)` gives `(batch, max_examples, 2)`.

    Example:
        >>> tuple(NextSentenceHead(BertConfig(num_layers=1, hidden_size=8, num_heads=2))(ops.ones((1, 8))).shape)
        (1, 2)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.dense = Dense(2, "linear", config.initializer_range, dtype=head_dtype(self.dtype_policy), name="dense")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.dense.build(input_shape)

    def call(self, pooled_output: Any) -> Any:
        return ops.cast(self.dense(pooled_output), "float32")
