"""EncoderBlock: attention, then feed-forward, each added to its input and normalised afterwards."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention import Attention
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dropout import Dropout, in_dropout_seed_scope
from keras_bert_scratch.layers.feed_forward import FeedForward
from keras_bert_scratch.layers.layer_norm import LayerNorm
from keras_bert_scratch.layers.positions import gather_positions


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class EncoderBlock(Configured, keras.layers.Layer):
    """One layer of the encoder: LayerNorm(x + sublayer(x)) twice, post-LN as in Vaswani et al. 2017, section 3.1.

    Args:
        config: BertConfig. Sizes and rates.
        remat: bool, default `False`. Whether training stores only the block's input and recomputes the activations in
            the backward pass, to save memory (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost").
            It has an effect only within `dropout_seed_scope`: elsewhere the second pass would drop other values.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(batch, length, hidden_size)`, and `bias` from a function in `attention_bias.py`; returns
    the shape of `x`, with `return_weights=True` also the attention weights `(batch, heads, length, length)`. With
    `query_positions`, int `(batch, positions)`, it computes only the output at these positions,
    `(batch, positions, hidden_size)`, which is less work.

    Example:
        >>> from keras import ops
        >>> from keras_bert_scratch.layers.attention_bias import attention_bias
        >>> block = EncoderBlock(BertConfig(num_layers=1, hidden_size=8, num_heads=2))
        >>> tuple(block(ops.ones((1, 3, 8)), attention_bias(ops.array([[1, 1, 1]]))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, remat: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.remat = remat
        policy, epsilon = self.dtype_policy, config.layer_norm_epsilon
        self.attention = Attention(config, dtype=policy, name="attention")
        self.attention_norm = LayerNorm(epsilon, dtype=policy, name="attention_layer_norm")
        self.feed_forward = FeedForward(config, dtype=policy, name="feed_forward")
        self.feed_forward_norm = LayerNorm(epsilon, dtype=policy, name="feed_forward_layer_norm")
        self.attention_dropout = Dropout(config.hidden_dropout, dtype=policy, name="attention_dropout")
        self.feed_forward_dropout = Dropout(config.hidden_dropout, dtype=policy, name="feed_forward_dropout")

    def build(
        self,
        x_shape: tuple[int | None, ...],
        bias_shape: tuple[int | None, ...],
        query_positions_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        self.attention.build(x_shape, bias_shape)
        for layer in (self.attention_norm, self.feed_forward, self.feed_forward_norm):
            layer.build(x_shape)

    def compute_output_spec(
        self, x: Any, bias: Any, query_positions: Any = None, training: bool = False, return_weights: bool = False
    ) -> Any:
        # Written out for speed: to trace every block for its shapes would be most of the time to build a model.
        batch, queries, hidden_size = x.shape if query_positions is None else (*query_positions.shape, x.shape[2])
        output = keras.KerasTensor((batch, queries, hidden_size), dtype=self.compute_dtype)
        weights = keras.KerasTensor((batch, self.config.num_heads, queries, x.shape[1]), dtype=self.compute_dtype)
        return (output, weights) if return_weights else output

    def call(
        self, x: Any, bias: Any, query_positions: Any = None, training: bool = False, return_weights: bool = False
    ) -> Any:
        def forward(x: Any, bias: Any) -> tuple[Any, Any]:
            attended, weights = self.attention(x, bias, query_positions, training=training, return_weights=True)
            x = x if query_positions is None else gather_positions(x, query_positions)
            x = self.attention_norm(x + self.attention_dropout(attended, training=training))
            x = self.feed_forward_norm(x + self.feed_forward_dropout(self.feed_forward(x), training=training))
            return x, weights

        if return_weights:
            return forward(x, bias)
        recompute = self.remat and training and in_dropout_seed_scope()
        return keras.remat(lambda *args: forward(*args)[0])(x, bias) if recompute else forward(x, bias)[0]

    def step(self, x: Any, past: tuple[Any, Any]) -> tuple[Any, tuple[Any, Any]]:
        """The next position of texts that are being generated, one per row; arguments as in `Attention.step`."""
        attended, past = self.attention.step(x, past)
        x = self.attention_norm(x + attended)
        return self.feed_forward_norm(x + self.feed_forward(x)), past

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "remat": self.remat}
