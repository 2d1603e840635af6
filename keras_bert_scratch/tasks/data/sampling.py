"""Sampling: generates random texts from a decoder, token by token, in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_bert_scratch.tasks.data.decoding_loop import decoding_while_loop, growing
from keras_bert_scratch.tasks.data.top_k import top_k as top_tokens

# Maps (tokens `(texts,)`, position, state) to next-token logits `(texts, vocab_size)`, and the new state.
Step = Callable[[tf.Tensor, tf.Tensor, Any], tuple[tf.Tensor, Any]]

NUM_HASH_BUCKETS = 1 << 24  # number of random values, all of which float32 can tell apart


def choose(logits: tf.Tensor, uniform: tf.Tensor, top_k: int, top_p: float, temperature: float) -> tf.Tensor:
    """Draws one token from each distribution, restricted to the most probable tokens.

    Args:
        logits: float32 `(..., vocab_size)`.
        uniform: float32 `(...)` in [0, 1). The same number draws the same token.
        top_k: int. Number of most probable tokens that can be drawn; 0 for all (Fan et al. 2018).
        top_p: float. Of these, only the most probable whose total just reaches it (Holtzman et al. 2020).
        temperature: float above 0. Divisor of the logits; above 1 rare tokens become more probable.

    Returns: int32 `(...)`.

    Example:
        >>> logits = tf.math.log([[0.5, 0.3, 0.2]])
        >>> [choose(logits, tf.constant([x]), 0, 1.0, 1.0).numpy().tolist() for x in (0.4, 0.6, 0.9)]
        [[0], [1], [2]]
    """
    num_tokens = min(top_k, logits.shape[-1]) if top_k else logits.shape[-1]
    values, tokens = top_tokens(logits / temperature, num_tokens)
    probabilities = tf.nn.softmax(values)
    before = tf.cumsum(probabilities, axis=-1, exclusive=True)
    probabilities = tf.where(before < top_p, probabilities, 0.0)
    limits = tf.cumsum(probabilities, axis=-1)
    # Rounding may leave the last limit below 1, and the last tokens with probability 0.
    at = tf.reduce_sum(tf.cast(limits <= uniform[..., None] * limits[..., -1:], tf.int32), axis=-1)
    return tf.gather(tokens, tf.minimum(at, num_tokens - 1), batch_dims=len(at.shape))


def sample(
    step: Step,
    state: Any,
    beginnings: tf.RaggedTensor,
    keys: tf.Tensor,
    end: int,
    max_tokens: tf.Tensor | int,
    continuations: int,
    top_k: int,
    top_p: float,
    temperature: float,
) -> tf.RaggedTensor:
    """Samples texts that continue their beginnings.

    A sampled text depends on its key, its beginning and the index of the continuation, not on the other rows.

    Args:
        step: computes the next-token logits.
        state: nested tensors `(rows * continuations, any, n, ...)`, which `step` reads and updates; they grow along
            axis 2.
        beginnings: int32 `(rows, None)`. At least one token each.
        keys: strings `(rows,)`. The random numbers are hashes of the key, the continuation's index and the position.
        end: the end token of a text.
        max_tokens: int. Maximum length of a text, beginning and end included.
        continuations: int. Number of texts for each row.
        top_k, top_p, temperature: as for `choose`.

    Returns: int32 `(rows, continuations, None)`: the tokens generated after the beginnings, without the end.
    """
    rows = beginnings.nrows(tf.int32)
    texts = tf.gather(beginnings, tf.repeat(tf.range(rows), continuations))
    lengths = tf.cast(texts.row_lengths(), tf.int32)
    given = tf.pad(texts.to_tensor(), [[0, 0], [0, 1]])
    numbers = tf.tile(tf.strings.as_string(tf.range(continuations)), [rows])
    keys = tf.strings.join([tf.repeat(keys, continuations), numbers], separator="/")

    def should_continue(position: tf.Tensor, texts: tf.Tensor, done: tf.Tensor, state: Any) -> tf.Tensor:
        return (position + 1 < max_tokens) & ~tf.reduce_all(done)

    def write(position: tf.Tensor, texts: tf.Tensor, done: tf.Tensor, state: Any) -> Any:
        logits, state = step(texts[:, -1], position, state)
        key = tf.strings.join([keys, tf.strings.as_string(position)], separator="/")
        uniform = tf.cast(tf.strings.to_hash_bucket_fast(key, NUM_HASH_BUCKETS), tf.float32) / NUM_HASH_BUCKETS
        token = tf.where(done, end, choose(tf.cast(logits, tf.float32), uniform, top_k, top_p, temperature))
        is_given = position + 1 < lengths
        token = tf.where(is_given, given[:, tf.minimum(position + 1, tf.shape(given)[1] - 1)], token)
        done |= ~is_given & (token == end)
        return position + 1, tf.concat([texts, token[:, None]], axis=1), done, state

    shapes = (
        tf.TensorShape([]),
        tf.TensorShape([None, None]),
        tf.TensorShape([None]),
        tf.nest.map_structure(growing, state),
    )
    loop = (tf.constant(0), given[:, :1], tf.zeros_like(lengths, tf.bool), state)
    _, texts, _, _ = decoding_while_loop(should_continue, write, loop, shapes)
    written = (tf.range(tf.shape(texts)[1]) >= lengths[:, None]) & (texts != end)
    new = tf.ragged.boolean_mask(texts, written)
    return tf.RaggedTensor.from_uniform_row_length(new, continuations, nrows=tf.cast(rows, tf.int64))
