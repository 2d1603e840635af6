"""Text pooling: one vector for a text, computed from the vectors of its tokens."""

from __future__ import annotations

from typing import Any

from keras import ops

# "none" returns the vectors of the tokens unchanged.
POOLINGS = ("mean", "cls", "max", "none")
# Below every number that a network computes, but finite: it is the maximum of a row that is all padding.
LOWEST = -1e9
SMALLEST_SQUARE = 1e-24  # lower bound of a squared length, so that a vector of zeros stays unchanged


def pool_tokens(x: Any, padding_mask: Any, pooling: str) -> Any:
    """The mean or the maximum over the tokens of each text, or the vector of its `[CLS]`, in float32.

    `[CLS]` and `[SEP]` count as tokens, as in sentence-transformers; padding does not (Reimers & Gurevych 2019,
    "Sentence-BERT", section 3).

    Args:
        x: float `(batch, length, size)`.
        padding_mask: int, float or bool `(batch, length)`, nonzero at tokens, 0 at padding.
        pooling: str. One of `POOLINGS`.

    Returns: float32 `(batch, size)`; with `"none"` `(batch, length, size)`.

    Example:
        >>> x = ops.array([[[1.0], [-3.0], [9.0]], [[-2.0], [5.0], [5.0]]])
        >>> mask = ops.array([[1, 1, 0], [1, 0, 0]])
        >>> {name: pool_tokens(x, mask, name).numpy().tolist() for name in ("mean", "cls", "max")}
        {'mean': [[-1.0], [-2.0]], 'cls': [[1.0], [-2.0]], 'max': [[1.0], [-2.0]]}
    """
    x = ops.cast(x, "float32")
    if pooling == "none":
        return x
    if pooling == "cls":
        return x[:, 0]
    is_token = ops.expand_dims(ops.cast(padding_mask, "bool"), 2)
    if pooling == "max":
        return ops.max(ops.where(is_token, x, LOWEST), axis=1)
    number = ops.sum(ops.cast(is_token, "float32"), axis=1)
    return ops.sum(ops.where(is_token, x, 0.0), axis=1) / ops.maximum(number, 1.0)


def unit_length(x: Any) -> Any:
    """The vectors along the last axis, divided by their lengths, so that the dot product of two is their cosine.

    Example:
        >>> unit_length(ops.array([[3.0, 4.0], [0.0, 0.0]])).numpy().round(6).tolist()
        [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return x * ops.rsqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), SMALLEST_SQUARE))
