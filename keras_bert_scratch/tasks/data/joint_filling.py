"""Filling several masks of a text together: a beam search that knows what stands in the masks before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def joint_fillings(
    ask: Callable[[dict[str, tf.Tensor]], tf.Tensor],
    inputs: dict[str, tf.Tensor],
    mask_number: tf.Tensor,
    log_probs: tf.Tensor,
    num_masks: tf.Tensor,
    allowed: tf.Tensor,
    width: int,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The likeliest fillings of each text's masks, from left to right.

    A filling's probability is the product over its masks of the probability that the model gives the token where the
    masks to the left are filled and those to the right are not. After each mask the best `width` beginnings go on; the
    search is exact if no mask but the last leaves more than these.

    Args:
        ask: callable. From inputs to float32 log-probabilities `(rows, vocab_size)` of the mask that each row asks for.
        inputs: dict. A row for each mask, those of a text one after another, `(masks, ...)` each.
        mask_number: int32 `(masks, length)`. Which of its text's masks is at each position of a row; -1 elsewhere.
        log_probs: float32 `(masks, vocab_size)`. What `ask` gives of these inputs.
        num_masks: int32 `(texts,)`. Of each text.
        allowed: bool `(masks, vocab_size)`. Which tokens may fill each mask.
        width: int. Of the beam; at most the number of tokens that may fill any mask.

    Returns: ids, int32 `(texts, width, masks)`, and log-probabilities, float32 `(texts, width)`, the best first. What
        is beyond a text's masks, and what there is of a text without masks, means nothing.
    """
    vocab_size = log_probs.shape[1]
    first_row = tf.cumsum(num_masks, exclusive=True)
    num_texts, most = tf.size(num_masks), tf.reduce_max(tf.pad(num_masks, [[0, 1]]))

    def fill_next(number: Any, tokens: tf.Tensor, scores: tf.Tensor, found: tf.Tensor, rows: tf.Tensor) -> Any:
        """The best of the beginnings `(texts, beams, masks)`, each with this mask filled by each token."""
        scores = scores[:, :, None] + tf.where(tf.gather(allowed, rows)[:, None, :], found, -float("inf"))
        all_tokens = tf.reshape(scores, [tf.size(rows), tf.shape(scores)[1] * vocab_size])
        scores, index = tf.math.top_k(all_tokens, width)
        beginnings = tf.gather(tokens, index // vocab_size, batch_dims=1)
        return tf.where(tf.range(most) == number, (index % vocab_size)[:, :, None], beginnings), scores

    def step(number: Any, tokens: tf.Tensor, scores: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        texts = tf.where(num_masks > number)
        rows = tf.gather(first_row, texts[:, 0]) + number
        here, so_far = tf.gather_nd(tokens, texts), tf.gather_nd(scores, texts)
        asked = {name: tf.repeat(tf.gather(values, rows), width, axis=0) for name, values in inputs.items()}
        which = tf.repeat(tf.gather(mask_number, rows), width, axis=0)
        filled = tf.gather(tf.reshape(here, [-1, most]), tf.maximum(which, 0), batch_dims=1)
        asked["token_ids"] = tf.where((which >= 0) & (which < number), filled, asked["token_ids"])
        found = tf.reshape(ask(asked), [-1, width, vocab_size])
        here, so_far = fill_next(number, here, so_far, found, rows)
        return (
            number + 1,
            tf.tensor_scatter_nd_update(tokens, texts, here),
            tf.tensor_scatter_nd_update(scores, texts, so_far),
        )

    # Before the first mask there is one beginning, and its row has been asked already.
    texts = tf.where(num_masks > 0)
    rows = tf.gather(first_row, texts[:, 0])
    nothing, found = tf.zeros([tf.size(rows), 1, most], tf.int32), tf.gather(log_probs, rows)[:, None, :]
    here, so_far = fill_next(0, nothing, tf.zeros([tf.size(rows), 1]), found, rows)
    tokens = tf.tensor_scatter_nd_update(tf.zeros([num_texts, width, most], tf.int32), texts, here)
    scores = tf.tensor_scatter_nd_update(tf.zeros([num_texts, width]), texts, so_far)
    _, tokens, scores = tf.while_loop(
        lambda number, *_: number < most, step, (1, tokens, scores), parallel_iterations=1
    )
    return tokens, scores
