"""MaskedLMHead: which word stood at each masked place."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.layer_norm import LayerNorm
from keras_bert_scratch.layers.places import vectors_at


class MaskedLMHead(keras.layers.Layer):
    """Scores over the vocabulary at the masked places only, the output matrix tied to the token embedding.

    The masked vectors go through dense + GELU + LayerNorm, then meet the token table, plus a bias per token
    (Devlin et al. 2019, section 3.1, Task 1; the tying and the transform are those of Google's `get_masked_lm_output`).

    Args:
        config: sizes, and which GELU.
        embeddings: the layer whose `token_embedding` is read; it stays that layer's weight.

    Call: `sequence_output` `(batch, length, hidden_size)` and `mask_positions` int `(batch, predictions)` give float32
    logits `(batch, predictions, vocab_size)`.

    Example:
        >>> config = BertConfig(vocab_size=10, num_layers=1, hidden_size=4, num_heads=1)
        >>> embeddings = BertEmbeddings(config)
        >>> x = embeddings(ops.array([[2, 5, 3]]), ops.array([[0, 0, 0]]))
        >>> tuple(MaskedLMHead(config, embeddings)(x, ops.array([[1]])).shape)
        (1, 1, 10)
    """

    def __init__(self, config: BertConfig, embeddings: BertEmbeddings, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.embeddings = embeddings
        self.transform = Dense(
            config.hidden_size, config.activation, config.initializer_range, dtype=self.dtype_policy, name="transform"
        )
        self.layer_norm = LayerNorm(config.layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm")

    def build(
        self, sequence_output_shape: tuple[int | None, ...], mask_positions_shape: tuple[int | None, ...]
    ) -> None:
        self.transform.build(sequence_output_shape)
        self.layer_norm.build(sequence_output_shape)
        self.bias = self.add_weight(shape=(self.embeddings.config.vocab_size,), initializer="zeros", name="bias")

    def call(self, sequence_output: Any, mask_positions: Any) -> Any:
        # (batch, predictions, hidden)
        masked = self.layer_norm(self.transform(vectors_at(sequence_output, mask_positions)))
        token_embedding = ops.cast(self.embeddings.token_embedding, self.compute_dtype)
        logits = ops.matmul(masked, ops.transpose(token_embedding))
        return ops.cast(logits, "float32") + ops.cast(self.bias, "float32")
