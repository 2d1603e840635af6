"""BertEmbeddings: what a token is, which segment it is in and where it stands, summed into one vector."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.layers.layer_norm import LayerNorm


class BertEmbeddings(keras.layers.Layer):
    """Token, segment and position embeddings summed, normalised, dropped out (Devlin et al. 2019, section 3, figure 2).

    Args:
        config: sizes and rates.

    Call: `token_ids` and `segment_ids`, int `(batch, length)`, give `(batch, length, hidden_size)`.

    Example:
        >>> layer = BertEmbeddings(BertConfig(vocab_size=10, num_layers=1, hidden_size=4, num_heads=1))
        >>> tuple(layer(ops.array([[2, 5, 3]]), ops.array([[0, 0, 0]])).shape)
        (1, 3, 4)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.layer_norm = LayerNorm(config.layer_norm_epsilon, dtype=self.dtype_policy, name="layer_norm")
        self.dropout = Dropout(config.hidden_dropout, dtype=self.dtype_policy, name="dropout")

    def build(self, token_ids_shape: tuple[int | None, ...], segment_ids_shape: tuple[int | None, ...]) -> None:
        config = self.config
        self.token_embedding = self._embedding(config.vocab_size, "token_embedding")
        self.segment_embedding = self._embedding(config.num_segments, "segment_embedding")
        self.position_embedding = self._embedding(config.max_position_embeddings, "position_embedding")
        self.layer_norm.build((*token_ids_shape, config.hidden_size))

    def _embedding(self, rows: int, name: str) -> Any:
        initializer = keras.initializers.TruncatedNormal(stddev=self.config.initializer_range)
        return self.add_weight(shape=(rows, self.config.hidden_size), initializer=initializer, name=name)

    def call(self, token_ids: Any, segment_ids: Any, training: bool = False) -> Any:
        length = token_ids.shape[1] if token_ids.shape[1] is not None else ops.shape(token_ids)[1]
        if isinstance(length, int):
            self.config.check_length(length)
        x = ops.take(self.token_embedding, token_ids, axis=0)  # (batch, length, hidden)
        x = x + ops.take(self.segment_embedding, segment_ids, axis=0)
        x = x + self.position_embedding[:length]  # (length, hidden) to every row of the batch
        return self.dropout(self.layer_norm(x), training=training)
