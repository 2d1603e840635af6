"""EncoderBlock: attention, then feed-forward, each added to its input and normalised afterwards."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention import SelfAttention
from keras_bert_scratch.layers.dropout import Dropout, draws_are_told
from keras_bert_scratch.layers.feed_forward import FeedForward
from keras_bert_scratch.layers.layer_norm import LayerNorm
from keras_bert_scratch.layers.places import vectors_at


class EncoderBlock(keras.layers.Layer):
    """One layer of the encoder: LayerNorm(x + sublayer(x)) twice, post-LN as in Vaswani et al. 2017, section 3.1.

    Args:
        config: sizes and rates.
        remat: whether training keeps only the block's input and works the rest out again in the backward pass, for
            less memory (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost"). It takes `dropout_draws`,
            lest another draw be made the second time; without them everything is kept.

    Call: `x` of shape `(batch, length, hidden_size)` and `bias` from `attention_bias` give the same shape as `x`;
    with `return_weights=True` also the attention weights `(batch, heads, length, length)`. With `read_at`, int `(batch,
    places)`, what the same would give at these places alone, `(batch, places, hidden_size)`, for less work.

    Example:
        >>> from keras import ops
        >>> from keras_bert_scratch.layers.attention import attention_bias
        >>> block = EncoderBlock(BertConfig(num_layers=1, hidden_size=8, num_heads=2))
        >>> tuple(block(ops.ones((1, 3, 8)), attention_bias(ops.array([[1, 1, 1]]))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, remat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.remat = remat
        policy, epsilon = self.dtype_policy, config.layer_norm_epsilon
        self.attention = SelfAttention(config, dtype=policy, name="attention")
        self.attention_norm = LayerNorm(epsilon, dtype=policy, name="attention_layer_norm")
        self.feed_forward = FeedForward(config, dtype=policy, name="feed_forward")
        self.feed_forward_norm = LayerNorm(epsilon, dtype=policy, name="feed_forward_layer_norm")
        self.attention_dropout = Dropout(config.hidden_dropout, dtype=policy, name="attention_dropout")
        self.feed_forward_dropout = Dropout(config.hidden_dropout, dtype=policy, name="feed_forward_dropout")

    def build(
        self,
        x_shape: tuple[int | None, ...],
        bias_shape: tuple[int | None, ...],
        read_at_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.attention.build(x_shape, bias_shape)
        for layer in (self.attention_norm, self.feed_forward, self.feed_forward_norm):
            layer.build(x_shape)

    def call(self, x: Any, bias: Any, read_at: Any = None, training: bool = False, return_weights: bool = False) -> Any:
        def output(x: Any, bias: Any) -> tuple[Any, Any]:
            attended, weights = self.attention(x, bias, read_at, training=training, return_weights=True)
            x = x if read_at is None else vectors_at(x, read_at)
            x = self.attention_norm(x + self.attention_dropout(attended, training=training))
            x = self.feed_forward_norm(x + self.feed_forward_dropout(self.feed_forward(x), training=training))
            return x, weights

        if return_weights:
            return output(x, bias)
        again = self.remat and training and draws_are_told()
        return keras.remat(lambda *given: output(*given)[0])(x, bias) if again else output(x, bias)[0]
