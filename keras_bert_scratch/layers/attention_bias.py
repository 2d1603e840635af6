"""Attention bias: what is added to the attention scores so that masked positions get weight 0."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_bert_scratch.config import BOTH, LEFT_TO_RIGHT

# As in Google's code: the softmax turns it into 0 in every dtype, and float16 can represent it.
MASKED_SCORE = -10000.0


def attention_bias(mask: Any, dtype: str = "float32") -> Any:
    """The bias that masks padding, or certain keys for each query.

    Args:
        mask: int, float or bool, nonzero at tokens and 0 at padding, `(batch, length)`; or nonzero where a query may
            attend to a key, `(batch, queries, keys)`.
        dtype: str, default `"float32"`. Dtype of the result.

    Returns: 0, or -10000 where masked, `(batch, 1, 1, length)` or `(batch, 1, queries, keys)`.

    Example:
        >>> attention_bias(ops.array([[1, 0]])).numpy().tolist()
        [[[[0.0, -10000.0]]]]
    """
    bias = ops.cast(ops.where(ops.cast(mask, "bool"), 0.0, MASKED_SCORE), dtype)
    return ops.expand_dims(bias, (1, 2) if len(bias.shape) == 2 else 1)


def packed_attention_bias(example_ids: Any, padding_mask: Any, dtype: str = "float32") -> Any:
    """The bias for rows that hold several examples: it masks the positions of all other examples.

    Padding attends to padding, so that its vectors are finite; nothing depends on them (Krell et al. 2021, "Efficient
    Sequence Packing without Cross-contamination").

    Args:
        example_ids: int `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second... example.
        padding_mask: int, float or bool `(batch, length)`, nonzero at tokens, 0 at padding.
        dtype: str, default `"float32"`. Dtype of the result.

    Returns: `(batch, 1, length, length)`, 0 within an example and -10000 between two; rows are queries, columns keys.

    Example:
        >>> packed_attention_bias(ops.array([[1, 1, 2]]), ops.array([[1, 1, 1]])).numpy()[0, 0].tolist()
        [[0.0, 0.0, -10000.0], [0.0, 0.0, -10000.0], [-10000.0, -10000.0, 0.0]]
    """
    example_ids = ops.where(ops.cast(padding_mask, "bool"), example_ids, 0)
    return attention_bias(ops.equal(ops.expand_dims(example_ids, 2), ops.expand_dims(example_ids, 1)), dtype)


def one_way(bias: Any, direction: str) -> Any:
    """A causal bias: besides what `bias` masks, it masks the positions after each position, or those before it.

    Args:
        bias: float `(batch, 1, 1, length)` or `(batch, 1, length, length)`. From one of the functions above.
        direction: str. `"left-to-right"`: nothing attends to what comes after it (Vaswani et al. 2017, section 3.2.3);
            `"right-to-left"`: nothing attends to what comes before it; `"both"`: the bias is returned unchanged.

    Returns: `(batch, 1, length, length)`, rows are queries, columns keys; with `"both"`, `bias` itself.

    Example:
        >>> one_way(attention_bias(ops.array([[1, 1]])), "left-to-right").numpy().tolist()
        [[[[0.0, -10000.0], [0.0, 0.0]]]]
    """
    if direction == BOTH:
        return bias
    # `arange` would need a static length.
    key = ops.cumsum(ops.cast(ops.ones_like(bias[:, :, :1]), "int32"), axis=3)  # (batch, 1, 1, length)
    query = ops.swapaxes(key, 2, 3)
    seen = key <= query if direction == LEFT_TO_RIGHT else key >= query
    return ops.where(seen, bias, MASKED_SCORE)
