"""Joint filling of several masks in a text: a beam search in which each mask depends on the masks before it."""

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
    """The most probable fillings of each text's masks, searched from left to right.

    A filling's probability is the product of its tokens' probabilities. The model computes each of them with the masks
    to the left filled and the masks to the right unfilled. After each mask the best `width` partial fillings are kept;
    the search is exact if there are never more than `width` of them before the last mask.

    Args:
        ask: callable. Maps inputs to float32 log-probabilities `(rows, vocab_size)` of the mask that each row queries.
        inputs: dict. One row per mask, `(masks, ...)` each; the rows of a text are consecutive.
        mask_number: int32 `(masks, length)`. Index, within its text, of the mask at each position; -1 elsewhere.
        log_probs: float32 `(masks, vocab_size)`. The result of `ask` for these inputs.
        num_masks: int32 `(texts,)`. Number of masks in each text.
        allowed: bool `(masks, vocab_size)`. Which tokens may fill each mask.
        width: int. Beam width; at most the number of tokens that may fill any mask.

    Returns: ids, int32 `(texts, width, masks)`, and log-probabilities, float32 `(texts, width)`, sorted from the best.
        Entries beyond a text's masks, and all entries of a text without masks, are meaningless.
    """
    vocab_size = log_probs.shape[1]
    first_row = tf.cumsum(num_masks, exclusive=True)
    num_texts, most = tf.size(num_masks), tf.reduce_max(tf.pad(num_masks, [[0, 1]]))

    def fill_next(number: Any, tokens: tf.Tensor, scores: tf.Tensor, found: tf.Tensor, rows: tf.Tensor) -> Any:
        """Extends the partial fillings `(texts, beams, masks)` by every token in this mask and keeps the best."""
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

    # Before the first mask there is one (empty) partial filling, and `log_probs` already has its row.
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
