"""Attention: every query attends to all keys, in several heads in parallel."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.configured import Configured
from keras_bert_scratch.layers.dense import Dense, fused_dense
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.layers.positions import gather_positions


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Attention(Configured, keras.layers.Layer):
    """Multi-head scaled dot-product attention, softmax(Q K^T / sqrt(d)) V (Vaswani et al. 2017, eq. 1, section 3.2.2).

    Queries, keys and values are projections of one input (self-attention); or, in a decoder, keys and values are
    projections of the encoder's output (cross-attention, section 3.2.3).

    Args:
        config: BertConfig. Sizes and rates.
        kwargs: as in `keras.layers.Layer`, such as `name` and `dtype`.

    Call: takes `x`, float `(batch, length, hidden_size)`, and `bias` from a function in `attention_bias.py`; returns a
    tensor of the shape of `x`, with `return_weights=True` also the attention weights `(batch, heads, length, keys)`.
    With `query_positions`, int `(batch, positions)`, only these positions are queries (keys and values are still all
    positions), and the result is `(batch, positions, hidden_size)`. With `encoded`, float
    `(batch, keys, encoder's hidden_size)`, keys and values are projections of `encoded`.

    Example:
        >>> from keras_bert_scratch.layers.attention_bias import attention_bias
        >>> layer = Attention(BertConfig(num_layers=1, hidden_size=8, num_heads=2))
        >>> tuple(layer(ops.ones((1, 3, 8)), attention_bias(ops.array([[1, 1, 0]]))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)

        def projection(name: str) -> Dense:
            return Dense(config.hidden_size, "linear", config.initializer_range, dtype=self.dtype_policy, name=name)

        self.config = config
        self.head_size = config.hidden_size // config.num_heads
        self.query, self.key, self.value = projection("query"), projection("key"), projection("value")
        self.output_projection = projection("output")
        self.dropout = Dropout(config.attention_dropout, dtype=self.dtype_policy, name="dropout")

    def build(
        self,
        x_shape: tuple[int | None, ...],
        bias_shape: tuple[int | None, ...],
        query_positions_shape: tuple[int | None, ...] | None = None,
        encoded_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        # This order determines which random weights each layer draws.
        self.query.build(x_shape)
        self.key.build(encoded_shape or x_shape)
        self.value.build(encoded_shape or x_shape)
        self.output_projection.build(x_shape)

    def call(
        self,
        x: Any,
        bias: Any,
        query_positions: Any = None,
        encoded: Any = None,
        training: bool = False,
        return_weights: bool = False,
    ) -> Any:
        if query_positions is None and encoded is None:
            query, key, value = self._project(x, self.query, self.key, self.value)
        else:  # only some positions are queries, or cross-attention
            query = self.queries(x if query_positions is None else gather_positions(x, query_positions))
            key, value = self.keys_and_values(x if encoded is None else encoded)
            if query_positions is not None and bias.shape[2] != 1:  # the bias depends on the query
                bias = ops.expand_dims(gather_positions(ops.squeeze(bias, 1), query_positions), 1)
        output, weights = self.attend(query, key, value, bias, training)
        return (output, weights) if return_weights else output

    def _project(self, x: Any, *layers: Dense) -> Any:
        """The output of each layer for `x`, split into heads: `(batch, heads, length, head_size)` each."""
        x = fused_dense(x, layers)  # (batch, length, layers * hidden_size)
        x = ops.reshape(x, (-1, _length(x), len(layers), self.config.num_heads, self.head_size))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), len(layers), axis=0)

    def attend(self, query: Any, key: Any, value: Any, bias: Any, training: bool = False) -> tuple[Any, Any]:
        """The attention output `(batch, queries, hidden_size)` and the weights `(batch, heads, queries, keys)`."""
        scores = ops.matmul(query * (1.0 / math.sqrt(self.head_size)), ops.swapaxes(key, -2, -1))
        weights = ops.softmax(scores + bias, axis=-1)
        context = ops.matmul(self.dropout(weights, training=training), value)  # (batch, heads, queries, head_size)
        return self.output_projection(self._join_heads(context)), weights

    def _join_heads(self, x: Any) -> Any:
        """`(batch, heads, length, head_size)` to `(batch, length, hidden_size)`."""
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, _length(x), self.config.hidden_size))

    # --- Parts of the layer, for decoders and for generating text token by token ---

    def queries(self, x: Any) -> Any:
        """The queries of `x`, `(batch, heads, length, head_size)`."""
        (query,) = self._project(x, self.query)
        return query

    def keys_and_values(self, x: Any) -> tuple[Any, Any]:
        """The keys and values of `x`, `(batch, heads, length, head_size)` each."""
        key, value = self._project(x, self.key, self.value)
        return key, value

    def empty_past(self, batch: Any) -> tuple[Any, Any]:
        """Keys and values of zero positions: the first `past` of `step`."""
        shape = (batch, self.config.num_heads, 0, self.head_size)
        return ops.zeros(shape, self.compute_dtype), ops.zeros(shape, self.compute_dtype)

    def step(self, x: Any, past: tuple[Any, Any], bias: Any = 0.0) -> tuple[Any, tuple[Any, Any]]:
        """Self-attention of the next position of each hypothesis, with cached keys and values of earlier positions.

        The keys of all hypotheses lie side by side, and the bias masks those that a hypothesis must not attend to. So
        nothing has to be moved when one hypothesis continues in two ways and another ends.

        Args:
            x: float `(batch, hypotheses, hidden_size)`. The next position of each hypothesis.
            past: keys and values of the earlier positions, float `(batch, heads, n, head_size)` each: at each position,
                those of all hypotheses.
            bias: float `(batch, 1, hypotheses, n + hypotheses)`, from `attention_bias`, over `past` and the new
                positions; 0 if there is only one hypothesis.

        Returns: the attention output, of the shape of `x`; and `past` extended by the new positions.
        """
        # Three separate products: to concatenate the weights at every step would cost more.
        query, *new = (self._split_heads(layer(x)) for layer in (self.query, self.key, self.value))
        key, value = (ops.concatenate(parts, axis=2) for parts in zip(past, new, strict=True))
        return self.attend(query, key, value, bias)[0], (key, value)

    def _split_heads(self, x: Any) -> Any:
        """`(batch, length, hidden_size)` to `(batch, heads, length, head_size)`."""
        x = ops.reshape(x, (-1, _length(x), self.config.num_heads, self.head_size))
        return ops.transpose(x, (0, 2, 1, 3))


def _length(x: Any) -> Any:
    """The size of axis 1: an int if it is static, else a tensor."""
    return x.shape[1] if x.shape[1] is not None else ops.shape(x)[1]
