"""The masking rule: which tokens are hidden from the network, and what it sees in their place."""

from __future__ import annotations

import tensorflow as tf

from keras_bert_scratch.text.vocabulary import Vocabulary

MASKED_SHARE = 0.15
SEES_MASK, SEES_RANDOM = 0.8, 0.1  # and the token itself in the remaining 10%


def mask_tokens(
    token_ids: tf.Tensor, padding_mask: tf.Tensor, vocabulary: Vocabulary, max_predictions: int, seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Chooses 15% of each row's tokens to predict and hides them (Devlin et al. 2019, section 3.1, Task 1).

    Of the chosen, 80% become `[MASK]`, 10% a random token, 10% stay. `[CLS]`, `[SEP]` and padding are never chosen.

    Args:
        token_ids: int32 `(batch, length)`.
        padding_mask: int32 `(batch, length)`, 1 at tokens.
        vocabulary: tells the special ids and how many tokens there are.
        max_predictions: places per row that the result has room for; at most that many are chosen.
        seed: int `(2,)`; the same seed and tokens give the same masks.

    Returns: `token_ids` `(batch, length)` with the hidden ones replaced; `mask_positions` and `mask_ids` (what stood
    there) int32, and `mask_weights` float32 (1 where a prediction counts, 0 where the row has fewer), each
    `(batch, max_predictions)`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> row = tf.constant([[2, 5, 6, 3, 0]])
        >>> masked = mask_tokens(row, tf.constant([[1, 1, 1, 1, 0]]), vocabulary, 2, seed=[0, 1])
        >>> masked["mask_weights"].numpy().tolist()
        [[1.0, 0.0]]
    """
    choice_seed, fate_seed, token_seed = tf.unstack(tf.random.split(seed, 3))
    shape = tf.shape(token_ids)
    length = token_ids.shape[1]
    max_predictions = min(max_predictions, length)

    # Every token that may be chosen draws a lot; the highest lots win. 15% counts all tokens, the special ones too.
    maskable = (padding_mask == 1) & (token_ids != vocabulary.cls_id) & (token_ids != vocabulary.sep_id)
    lots = tf.where(maskable, tf.random.stateless_uniform(shape, choice_seed), -1.0)
    tokens = tf.cast(tf.reduce_sum(padding_mask, axis=1), tf.float32)
    wanted = tf.clip_by_value(tf.cast(tf.round(tokens * MASKED_SHARE), tf.int32), 1, max_predictions)
    wanted = tf.minimum(wanted, tf.reduce_sum(tf.cast(maskable, tf.int32), axis=1))
    _, winners = tf.math.top_k(lots, k=max_predictions)
    counts = tf.range(max_predictions) < wanted[:, None]  # (batch, max_predictions)

    # In the order of the text, the places that do not count last and then moved to position 0.
    positions = tf.sort(tf.where(counts, winners, length), axis=1)
    positions = tf.where(counts, positions, 0)
    mask_ids = tf.gather(token_ids, positions, batch_dims=1)

    fate = tf.random.stateless_uniform(shape, fate_seed)
    random_ids = tf.random.stateless_uniform(shape, token_seed, maxval=len(vocabulary), dtype=tf.int32)
    seen = tf.where(
        fate < SEES_MASK, vocabulary.mask_id, tf.where(fate < SEES_MASK + SEES_RANDOM, random_ids, token_ids)
    )
    chosen = tf.reduce_max(
        tf.one_hot(tf.where(counts, positions, -1), length, dtype=tf.int32), axis=1
    )  # (batch, length)

    return {
        "token_ids": tf.where(chosen == 1, seen, token_ids),
        "mask_positions": positions,
        "mask_ids": tf.where(counts, mask_ids, 0),
        "mask_weights": tf.cast(counts, tf.float32),
    }
