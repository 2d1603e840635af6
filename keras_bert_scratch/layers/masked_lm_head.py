"""MaskedLMHead: predicts the token at each masked position, or the next token."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.layer_norm import LayerNorm
from keras_bert_scratch.layers.positions import gather_positions


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class MaskedLMHead(Configured, keras.layers.Layer):
    """Logits over the vocabulary at the masked positions only, with the output matrix tied to the token embedding.

    The masked positions' vectors go through dense, GELU and LayerNorm and are multiplied by the token embedding, plus a
    bias per token (Devlin et al. 2019, section 3.1, Task 1; tying and transform as in Google's `get_masked_lm_output`).

    Args:
        config: BertConfig. Sizes, and the activation function.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `sequence_output`, float `(batch, length, hidden_size)`; `token_embedding`, float
    `(vocab_size, hidden_size)`, the weight that `BertEmbeddings` returns; and `mask_positions`, int
    `(batch, predictions)`, or `None` for every position. Returns float32 logits `(batch, predictions, vocab_size)`.

    Example:
        >>> config = BertConfig(vocab_size=10, num_layers=1, hidden_size=4, num_heads=1)
        >>> tuple(MaskedLMHead(config)(ops.ones((1, 3, 4)), ops.ones((10, 4)), ops.array([[1]])).shape)
        (1, 1, 10)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.transform = Dense(
            config.hidden_size, config.activation, config.initializer_range, dtype=self.dtype_policy, name="transform"
        )
        self.layer_norm = LayerNorm(config.layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm")

    def build(
        self,
        sequence_output_shape: tuple[int | None, ...],
        token_embedding_shape: tuple[int | None, ...],
        mask_positions_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.transform.build(sequence_output_shape)
        self.layer_norm.build((*sequence_output_shape[:-1], self.config.hidden_size))
        self.bias = self.add_weight(shape=(self.config.vocab_size,), initializer="zeros", name="bias")

    def compute_output_spec(self, sequence_output: Any, token_embedding: Any, mask_positions: Any = None) -> Any:
        # Written out for speed, as in the encoder block.
        predictions = sequence_output.shape[:2] if mask_positions is None else mask_positions.shape
        return keras.KerasTensor((*predictions, self.config.vocab_size), dtype="float32")

    def call(self, sequence_output: Any, token_embedding: Any, mask_positions: Any = None) -> Any:
        if mask_positions is not None:
            sequence_output = gather_positions(sequence_output, mask_positions)
        masked = self.layer_norm(self.transform(sequence_output))  # (batch, predictions, hidden)
        logits = ops.matmul(masked, ops.transpose(ops.cast(token_embedding, self.compute_dtype)))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")
