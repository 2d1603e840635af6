"""DecoderBlock: self-attention to the tokens so far, cross-attention to the encoder's output, then feed-forward."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention import Attention
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dropout import Dropout, in_dropout_seed_scope
from keras_bert_scratch.layers.feed_forward import FeedForward
from keras_bert_scratch.layers.layer_norm import LayerNorm


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class DecoderBlock(Configured, keras.layers.Layer):
    """One layer of a decoder: an encoder block with cross-attention in the middle (Vaswani et al. 2017, section 3.1).

    Its self-attention and feed-forward have the same weights as an encoder block, so that they can be initialized from
    a block of BERT (Rothe et al. 2020, "Leveraging Pre-trained Checkpoints for Sequence Generation Tasks").

    Args:
        config: BertConfig. Sizes and rates.
        remat: bool, default `False`. As in `EncoderBlock`.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(batch, length, hidden_size)`, `bias` from `one_way`, `encoded`, float
    `(batch, keys, encoder's hidden_size)`, and `encoded_bias`, the `attention_bias` of the encoder's padding; returns
    the shape of `x`, with `return_weights=True` also the cross-attention's weights `(batch, heads, length, keys)`.

    Example:
        >>> from keras import ops
        >>> from keras_bert_scratch.layers.attention_bias import attention_bias, one_way
        >>> block = DecoderBlock(BertConfig(num_layers=1, hidden_size=8, num_heads=2))
        >>> bias = one_way(attention_bias(ops.ones((1, 3))), "left-to-right")
        >>> tuple(block(ops.ones((1, 3, 8)), bias, ops.ones((1, 5, 8)), attention_bias(ops.ones((1, 5)))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, remat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.remat = remat
        policy, epsilon = self.dtype_policy, config.layer_norm_epsilon
        self.attention = Attention(config, dtype=policy, name="attention")
        self.attention_norm = LayerNorm(epsilon, dtype=policy, name="attention_layer_norm")
        self.cross_attention = Attention(config, dtype=policy, name="cross_attention")
        self.cross_attention_norm = LayerNorm(epsilon, dtype=policy, name="cross_attention_layer_norm")
        self.feed_forward = FeedForward(config, dtype=policy, name="feed_forward")
        self.feed_forward_norm = LayerNorm(epsilon, dtype=policy, name="feed_forward_layer_norm")
        self.attention_dropout = Dropout(config.hidden_dropout, dtype=policy, name="attention_dropout")
        self.cross_attention_dropout = Dropout(config.hidden_dropout, dtype=policy, name="cross_attention_dropout")
        self.feed_forward_dropout = Dropout(config.hidden_dropout, dtype=policy, name="feed_forward_dropout")

    def build(
        self,
        x_shape: tuple[int | None, ...],
        bias_shape: tuple[int | None, ...],
        encoded_shape: tuple[int | None, ...],
        encoded_bias_shape: tuple[int | None, ...],
    ) -> None:
        self.attention.build(x_shape, bias_shape)
        self.cross_attention.build(x_shape, encoded_bias_shape, encoded_shape=encoded_shape)
        for layer in (self.attention_norm, self.cross_attention_norm, self.feed_forward, self.feed_forward_norm):
            layer.build(x_shape)

    def compute_output_spec(
        self, x: Any, bias: Any, encoded: Any, encoded_bias: Any, training: bool = False, return_weights: bool = False
    ) -> Any:
        # Written out for speed, as in the encoder block.
        output = keras.KerasTensor(x.shape, dtype=self.compute_dtype)
        shape = (x.shape[0], self.config.num_heads, x.shape[1], encoded.shape[1])
        return (output, keras.KerasTensor(shape, dtype=self.compute_dtype)) if return_weights else output

    def call(
        self, x: Any, bias: Any, encoded: Any, encoded_bias: Any, training: bool = False, return_weights: bool = False
    ) -> Any:
        def forward(x: Any, bias: Any, encoded: Any, encoded_bias: Any) -> tuple[Any, Any]:
            attended = self.attention(x, bias, training=training)
            x = self.attention_norm(x + self.attention_dropout(attended, training=training))
            attended, weights = self.cross_attention(
                x, encoded_bias, encoded=encoded, training=training, return_weights=True
            )
            x = self.cross_attention_norm(x + self.cross_attention_dropout(attended, training=training))
            x = self.feed_forward_norm(x + self.feed_forward_dropout(self.feed_forward(x), training=training))
            return x, weights

        inputs = (x, bias, encoded, encoded_bias)
        if return_weights:
            return forward(*inputs)
        recompute = self.remat and training and in_dropout_seed_scope()
        return keras.remat(lambda *args: forward(*args)[0])(*inputs) if recompute else forward(*inputs)[0]

    def step(
        self, x: Any, past: tuple[Any, Any], bias: Any, encoded: tuple[Any, Any], encoded_bias: Any
    ) -> tuple[Any, tuple[Any, Any]]:
        """The next position of several hypotheses, with the cached keys and values of the earlier positions.

        Args:
            x, past, bias: as for `Attention.step`.
            encoded: keys and values that `cross_attention` computed from the encoder's output.
            encoded_bias: float `(batch, 1, 1, keys)`. From `attention_bias`.

        Returns: the output, of the shape of `x`; and `past` extended by the new positions.
        """
        attended, past = self.attention.step(x, past, bias)
        x = self.attention_norm(x + attended)
        attended, _ = self.cross_attention.attend(self.cross_attention.queries(x), *encoded, encoded_bias)
        x = self.cross_attention_norm(x + attended)
        return self.feed_forward_norm(x + self.feed_forward(x)), past

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "remat": self.remat}
