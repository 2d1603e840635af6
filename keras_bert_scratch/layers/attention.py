"""SelfAttention: every position looks at every other, in several heads at once."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.layers.places import vectors_at

# What lowers a padded position's score, as in Google's code: exp of it is 0 in every dtype, and float16 can hold it.
MASKED_SCORE = -10000.0


def attention_bias(padding_mask: Any, dtype: str = "float32") -> Any:
    """What to add to the scores so that nobody looks at padding.

    Args:
        padding_mask: `(batch, length)`, 1 at tokens, 0 at padding.
        dtype: of the result.

    Returns: `(batch, 1, 1, length)`, 0 at tokens and -10000 at padding.

    Example:
        >>> attention_bias(ops.array([[1, 0]])).numpy().tolist()
        [[[[0.0, -10000.0]]]]
    """
    bias = ops.where(ops.cast(padding_mask, "bool"), 0.0, MASKED_SCORE)
    return ops.expand_dims(ops.cast(bias, dtype), (1, 2))


def packed_attention_bias(example_ids: Any, padding_mask: Any, dtype: str = "float32") -> Any:
    """What to add to the scores so that of several examples in a row each looks at itself alone.

    Padding looks at padding: its vectors are finite, and nobody reads them (Krell et al. 2021, "Efficient Sequence
    Packing without Cross-contamination").

    Args:
        example_ids: `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second... example.
        padding_mask: `(batch, length)`, 1 at tokens, 0 at padding.
        dtype: of the result.

    Returns: `(batch, 1, length, length)`, 0 within an example and -10000 between two.

    Example:
        >>> packed_attention_bias(ops.array([[1, 1, 2]]), ops.array([[1, 1, 1]])).numpy()[0, 0].tolist()
        [[0.0, 0.0, -10000.0], [0.0, 0.0, -10000.0], [-10000.0, -10000.0, 0.0]]
    """
    example_ids = ops.where(ops.cast(padding_mask, "bool"), example_ids, 0)
    same = ops.equal(ops.expand_dims(example_ids, 2), ops.expand_dims(example_ids, 1))  # who looks, who is looked at
    return ops.expand_dims(ops.cast(ops.where(same, 0.0, MASKED_SCORE), dtype), 1)


class SelfAttention(keras.layers.Layer):
    """Multi-head scaled dot-product attention, softmax(Q K^T / sqrt(d)) V (Vaswani et al. 2017, eq. 1, section 3.2.2).

    Args:
        config: sizes and rates.

    Call: `x` of shape `(batch, length, hidden_size)` and `bias` from `attention_bias` or `packed_attention_bias` give
    the same shape as `x`; with `return_weights=True` also the attention weights `(batch, heads, length, length)`.
    With `read_at`, int `(batch, places)`, only these places look, still at all others, and the result has one vector
    for each: `(batch, places, hidden_size)`.

    Example:
        >>> layer = SelfAttention(BertConfig(num_layers=1, hidden_size=8, num_heads=2))
        >>> tuple(layer(ops.ones((1, 3, 8)), attention_bias(ops.array([[1, 1, 0]]))).shape)
        (1, 3, 8)
    """

    def __init__(self, config: BertConfig, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_heads = config.num_heads
        self.head_size = config.hidden_size // config.num_heads

        def projection(name: str) -> Dense:
            return Dense(config.hidden_size, "linear", config.initializer_range, dtype=self.dtype_policy, name=name)

        self.query, self.key, self.value = projection("query"), projection("key"), projection("value")
        self.output_projection = projection("output")
        self.dropout = Dropout(config.attention_dropout, dtype=self.dtype_policy, name="dropout")

    def build(
        self,
        x_shape: tuple[int | None, ...],
        bias_shape: tuple[int | None, ...],
        read_at_shape: tuple[int | None, ...] | None = None,
    ) -> None:
        for layer in (self.query, self.key, self.value, self.output_projection):
            layer.build(x_shape)

    def call(self, x: Any, bias: Any, read_at: Any = None, training: bool = False, return_weights: bool = False) -> Any:
        if read_at is None:
            query, key, value = self._projected(x, self.query, self.key, self.value)
        else:
            (query,) = self._projected(vectors_at(x, read_at), self.query)
            key, value = self._projected(x, self.key, self.value)
            if bias.shape[2] != 1:  # who looks matters in packed rows alone
                bias = ops.expand_dims(vectors_at(ops.squeeze(bias, 1), read_at), 1)
        scores = ops.matmul(query * (1.0 / math.sqrt(self.head_size)), ops.transpose(key, (0, 1, 3, 2)))
        # (batch, heads, length, length): the row is the position that looks, the column the one it looks at.
        weights = ops.softmax(scores + bias, axis=-1)
        context = ops.matmul(self.dropout(weights, training=training), value)
        output = self.output_projection(self._join_heads(context))
        return (output, weights) if return_weights else output

    def _projected(self, x: Any, *layers: Dense) -> Any:
        """What each of the layers makes of `x`, by heads: as many of `(batch, heads, length, head_size)`.

        One wide product is quicker than several narrow ones, and their gradients to `x` are added up within it.
        """
        kernel = ops.concatenate([layer.kernel for layer in layers], axis=1)
        x = ops.matmul(x, kernel) + ops.concatenate([layer.bias for layer in layers], axis=0)
        x = ops.reshape(x, (-1, *self._length(x), len(layers), self.num_heads, self.head_size))
        return ops.unstack(ops.transpose(x, (2, 0, 3, 1, 4)), len(layers), axis=0)

    def _join_heads(self, x: Any) -> Any:
        """`(batch, heads, length, head_size)` to `(batch, length, hidden)`."""
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, *self._length(x), self.num_heads * self.head_size))

    @staticmethod
    def _length(x: Any) -> tuple[Any]:
        return (x.shape[1] if x.shape[1] is not None else ops.shape(x)[1],)
