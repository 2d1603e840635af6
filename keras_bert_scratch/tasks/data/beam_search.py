"""Beam search: the likeliest texts that a decoder can write, token by token, in the graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from keras_bert_scratch.tasks.data.decoding_loop import Step, growing, one_loop


class Written(NamedTuple):
    """Texts that were written, the best first.

    `tokens`, int32 `(rows, wanted, length)`, without start and end, padded by the end; `lengths`, int32
    `(rows, wanted)`; `scores`, float32 `(rows, wanted)`: of a text's tokens and its end the sum of natural
    log-probabilities, divided by the length penalty; -inf where a row has fewer texts, which are empty then.
    """

    tokens: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor


def length_penalty(num_tokens: Any, alpha: float) -> Any:
    """((5 + tokens) / 6) ** alpha, the end being a token (Wu et al. 2016, equation 14).

    Example:
        >>> float(length_penalty(7.0, 1.0))
        2.0
    """
    return ((5.0 + tf.cast(num_tokens, tf.float32)) / 6.0) ** alpha


def beam_search(
    step: Step,
    state: Any,
    rows: tf.Tensor,
    start: int,
    end: int,
    max_tokens: int,
    beams: int = 4,
    alpha: float = 0.6,
    wanted: int = 1,
) -> Written:
    """Writes the texts of the best scores that a search of this width finds.

    A row is done when no text that is still being written can come to a better score than those that are wanted,
    however it goes on: so a longer text that scores better wins over a shorter one that ended first, and what a row
    gets does not depend on the others of its batch.

    Args:
        step: gives the logits of what comes next.
        state: nested tensors `(rows, any, beams, ...)`, which `step` reads and renews; they may grow along axis 3.
        rows: int scalar. How many texts to write.
        start, end: the tokens that a text starts with and ends with.
        max_tokens: int. The longest text, its end included. A text that reaches it without one is cut off, and counts
            by its score all the same.
        beams: int, default 4. How many texts of each row are written side by side.
        alpha: float, default 0.6. Of the length penalty; 0 for none.
        wanted: int, default 1. How many of the best texts to give.
    """
    # Even if all beams end, as many go on; a single one just takes the likeliest token.
    num_candidates = 2 * beams if beams > 1 else 1
    shape = tf.stack([rows, wanted])
    alive = tf.tile([[0.0] + [-float("inf")] * (beams - 1)], [rows, 1])  # all beams are alike at the start
    loop = {
        "position": tf.constant(0),
        "alive_tokens": tf.fill(tf.stack([rows, beams, 1]), start),
        "alive": alive,
        "tokens": tf.zeros(tf.stack([rows, wanted, max_tokens]), tf.int32) + end,
        "lengths": tf.zeros(shape, tf.int32),
        "scores": tf.fill(shape, -float("inf")),
        "state": state,
    }

    def goes_on(loop: dict[str, Any]) -> tf.Tensor:
        # A log-probability only falls; its quotient falls least at the longest, with alpha below 0 at the next token.
        longest = max_tokens if alpha >= 0 else loop["position"] + 1
        possible = loop["alive"][:, 0] / length_penalty(longest, alpha)
        return (loop["position"] < max_tokens) & tf.reduce_any(possible > loop["scores"][:, -1])

    def write(loop: dict[str, Any]) -> tuple[dict[str, Any]]:
        position = loop["position"]
        logits, state = step(loop["alive_tokens"][:, :, -1], position, loop["state"])
        vocab_size = logits.shape[-1]
        log_probs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
        candidates = tf.reshape(loop["alive"][:, :, None] + log_probs, [-1, beams * vocab_size])
        totals, chosen = tf.math.top_k(candidates, num_candidates)
        beam, token = chosen // vocab_size, chosen % vocab_size
        ended = token == end

        so_far = tf.gather(loop["alive_tokens"], beam, batch_dims=1)
        text = tf.pad(so_far[:, :, 1:], [[0, 0], [0, 0], [0, max_tokens - position]], constant_values=end)
        # An end counts if nothing better takes all beams, as in fairseq and transformers; else short texts win.
        counts = ended & (tf.range(num_candidates) < beams)
        of_ended = tf.where(counts, totals / length_penalty(position + 1, alpha), -float("inf"))
        scores, best = tf.math.top_k(tf.concat([loop["scores"], of_ended], axis=1), wanted)
        lengths = tf.concat([loop["lengths"], tf.fill(tf.stack([rows, num_candidates]), position)], axis=1)
        tokens = tf.concat([loop["tokens"], tf.ensure_shape(text, [None, num_candidates, max_tokens])], axis=1)

        alive, going = tf.math.top_k(tf.where(ended, -float("inf"), totals), beams)
        beam, token = (tf.gather(values, going, batch_dims=1) for values in (beam, token))
        so_far = tf.gather(loop["alive_tokens"], beam, batch_dims=1)
        return (
            {
                "position": position + 1,
                "alive_tokens": tf.concat([so_far, token[:, :, None]], axis=2),
                "alive": alive,
                "tokens": tf.gather(tokens, best, batch_dims=1),
                "lengths": tf.gather(lengths, best, batch_dims=1),
                "scores": scores,
                "state": tf.nest.map_structure(lambda values: tf.gather(values, beam, axis=2, batch_dims=1), state),
            },
        )

    shapes = {
        "position": tf.TensorShape([]),
        "alive_tokens": tf.TensorShape([None, beams, None]),
        "alive": tf.TensorShape([None, beams]),
        **{name: tf.TensorShape([None, wanted]) for name in ("lengths", "scores")},
        "tokens": tf.TensorShape([None, wanted, max_tokens]),
        "state": tf.nest.map_structure(growing, state),
    }
    (loop,) = one_loop(goes_on, write, (loop,), (shapes,))
    return _with_cut_off(loop, max_tokens, end, wanted, alpha)


def _with_cut_off(loop: dict[str, Any], max_tokens: int, end: int, wanted: int, alpha: float) -> Written:
    """The best of the texts that ended and of those that were cut off."""
    room = max_tokens + 1 - tf.shape(loop["alive_tokens"])[2]
    text = tf.pad(loop["alive_tokens"][:, :, 1:], [[0, 0], [0, 0], [0, room]], constant_values=end)
    # A search that stopped before has cut nothing off.
    cut = tf.where(loop["position"] == max_tokens, loop["alive"] / length_penalty(max_tokens, alpha), -float("inf"))
    scores, best = tf.math.top_k(tf.concat([loop["scores"], cut], axis=1), wanted)
    lengths = tf.concat([loop["lengths"], tf.fill(tf.shape(cut), loop["position"])], axis=1)
    tokens = tf.concat([loop["tokens"], text], axis=1)
    return Written(tf.gather(tokens, best, batch_dims=1), tf.gather(lengths, best, batch_dims=1), scores)
