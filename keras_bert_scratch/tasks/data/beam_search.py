"""Beam search: generates a decoder's most probable texts token by token, in the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_bert_scratch.tasks.data.decoding_loop import decoding_while_loop, growing
from keras_bert_scratch.tasks.data.top_k import top_k

# Maps (tokens `(rows, beams)`, position, past, visible, source) to next-token logits `(rows, beams, vocab_size)`, and
# the past extended by this position.
Step = Callable[[tf.Tensor, tf.Tensor, Any, tf.Tensor, Any], tuple[tf.Tensor, Any]]


COMPACTION_DIVISOR = 8  # finished rows leave the batch once at least one in 8 is finished: copying the rest costs time


class GeneratedTexts(NamedTuple):
    """Generated texts, sorted from the best score.

    `tokens`, int32 `(rows, wanted, length)`, without start and end token, padded with the end token; `lengths`, int32
    `(rows, wanted)`; `scores`, float32 `(rows, wanted)`: the sum of the natural log-probabilities of a text's tokens
    and its end, divided by the length penalty. If a row has fewer texts, the other entries are empty and score -inf.
    """

    tokens: tf.Tensor
    lengths: tf.Tensor
    scores: tf.Tensor


def length_penalty(num_tokens: Any, alpha: float) -> Any:
    """((5 + tokens) / 6) ** alpha, where the end counts as a token (Wu et al. 2016, equation 14).

    Example:
        >>> float(length_penalty(7.0, 1.0))
        2.0
    """
    return ((5.0 + tf.cast(num_tokens, tf.float32)) / 6.0) ** alpha


def beam_search(
    step: Step,
    past: Any,
    source: Any,
    rows: tf.Tensor,
    start: int,
    end: int,
    max_tokens: int,
    beams: int = 4,
    alpha: float = 0.6,
    wanted: int = 1,
) -> GeneratedTexts:
    """Generates the texts with the best scores that a beam search of this width finds.

    A row is finished when no unfinished text can still reach a better score than the `wanted` best finished ones. So a
    longer text with a better score wins over a shorter one that ended earlier, and the result of a row does not depend
    on the other rows of its batch. Finished rows leave the batch.

    Args:
        step: computes the next-token logits.
        past: nested tensors `(rows, any, 0, ...)`, which `step` reads and extends by one entry per beam on axis 2.
            Entries never move, even when one beam splits into two and another ends. Instead `visible`, bool
            `(rows, beams, n + beams)`, marks which entries, past and current, belong to each beam's own text.
        source: nested tensors `(rows, ...)`, which `step` reads.
        rows: int scalar. Number of rows to generate texts for.
        start, end: the start token and the end token of a text.
        max_tokens: int. Maximum length of a text, its end included. A text that reaches it without an end is cut off
            and still competes with its score.
        beams: int, default 4. Number of texts of each row that are extended in parallel.
        alpha: float, default 0.6. Exponent of the length penalty; 0 for no penalty.
        wanted: int, default 1. How many of the best texts to return.
    """
    # Of 2 * beams candidates, `beams` continue even if every beam ends. A single beam takes the most probable token.
    num_candidates = 2 * beams if beams > 1 else 1
    shape = tf.stack([rows, wanted])
    nothing = GeneratedTexts(
        tf.zeros(tf.stack([rows, wanted, max_tokens]), tf.int32) + end,
        tf.zeros(shape, tf.int32),
        tf.fill(shape, -float("inf")),
    )
    loop = {
        "position": tf.constant(0),
        "row": tf.range(rows),  # numbers of the rows that are still in the batch
        "alive_tokens": tf.fill(tf.stack([rows, beams, 1]), start),
        # All beams are identical at the start, so only the first one counts.
        "alive": tf.tile([[0.0] + [-float("inf")] * (beams - 1)], [rows, 1]),
        "ended": nothing,
        "past": past,
        "visible": tf.zeros(tf.stack([rows, beams, 0]), tf.bool),
        "source": source,
        "found": nothing,  # results of the rows that have left the batch
    }

    def undecided(loop: dict[str, Any]) -> tf.Tensor:
        # The bound of the final score: a log-probability only falls, and divided by the length penalty it is highest
        # at the maximum length, or, with alpha below 0, at the next token.
        longest = max_tokens if alpha >= 0 else loop["position"] + 1
        return loop["alive"][:, 0] / length_penalty(longest, alpha) > loop["ended"].scores[:, -1]

    def should_continue(loop: dict[str, Any]) -> tf.Tensor:
        return (loop["position"] < max_tokens) & tf.reduce_any(undecided(loop))

    def write(loop: dict[str, Any]) -> tuple[dict[str, Any]]:
        position = loop["position"]
        own = tf.tile(tf.eye(beams, dtype=tf.bool)[None], [tf.size(loop["row"]), 1, 1])
        visible = tf.concat([loop["visible"], own], axis=2)
        logits, past = step(loop["alive_tokens"][:, :, -1], position, loop["past"], visible, loop["source"])
        # One beam cannot contribute more than all the candidates.
        log_probs, tokens = _top_log_probs(tf.cast(logits, tf.float32), min(num_candidates, logits.shape[-1]))
        totals, chosen = top_k(_joined(loop["alive"][:, :, None] + log_probs), num_candidates)
        token = tf.gather(_joined(tokens), chosen, batch_dims=1)
        beam = chosen // tokens.shape[2]
        ended = token == end

        so_far = tf.gather(loop["alive_tokens"], beam, batch_dims=1)
        text = tf.pad(so_far[:, :, 1:], [[0, 0], [0, 0], [0, max_tokens - position]], constant_values=end)
        # An end counts only among the best `beams` candidates, as in fairseq and transformers; else short texts win.
        counts = ended & (tf.range(num_candidates) < beams)
        scores = tf.where(counts, totals / length_penalty(position + 1, alpha), -float("inf"))
        text = tf.ensure_shape(text, [None, num_candidates, max_tokens])

        alive, going = tf.math.top_k(tf.where(ended, -float("inf"), totals), beams)
        beam, token = (tf.gather(values, going, batch_dims=1) for values in (beam, token))
        so_far = tf.gather(loop["alive_tokens"], beam, batch_dims=1)
        loop = {
            **loop,
            "position": position + 1,
            "alive_tokens": tf.concat([so_far, token[:, :, None]], axis=2),
            "alive": alive,
            "ended": _best(loop["ended"], GeneratedTexts(text, tf.fill(tf.shape(ended), position), scores), wanted),
            "past": past,
            "visible": tf.gather(visible, beam, batch_dims=1),
        }
        remain = tf.cast(tf.where(undecided(loop))[:, 0], tf.int32)
        few = COMPACTION_DIVISOR * tf.size(remain) <= (COMPACTION_DIVISOR - 1) * tf.size(loop["row"])
        return (tf.cond(few, lambda: _only(loop, remain), lambda: loop),)

    shapes = {
        "position": tf.TensorShape([]),
        "row": tf.TensorShape([None]),
        "alive_tokens": tf.TensorShape([None, beams, None]),
        "alive": tf.TensorShape([None, beams]),
        "past": tf.nest.map_structure(growing, past),
        "visible": tf.TensorShape([None, beams, None]),
        **tf.nest.map_structure(
            lambda values: tf.TensorShape([None, *values.shape[1:]]),
            {name: loop[name] for name in ("source", "ended", "found")},
        ),
    }
    (loop,) = decoding_while_loop(should_continue, write, (loop,), (shapes,))
    # If the search stopped before `max_tokens`, no text was cut off.
    scores = tf.where(loop["position"] == max_tokens, loop["alive"] / length_penalty(max_tokens, alpha), -float("inf"))
    room = max_tokens + 1 - tf.shape(loop["alive_tokens"])[2]
    text = tf.pad(loop["alive_tokens"][:, :, 1:], [[0, 0], [0, 0], [0, room]], constant_values=end)
    cut_off = GeneratedTexts(text, tf.fill(tf.shape(scores), loop["position"]), scores)
    return _scatter_rows(loop["found"], loop["row"], _best(loop["ended"], cut_off, wanted))


def _top_log_probs(logits: tf.Tensor, num_tokens: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Log-probabilities of the most probable tokens, and these tokens, `(rows, beams, num_tokens)` each."""
    values, tokens = top_k(logits, num_tokens)
    top = values[:, :, :1]
    total = tf.reduce_sum(tf.exp(logits - top), axis=-1, keepdims=True)
    return values - top - tf.math.log(total), tokens


def _joined(values: tf.Tensor) -> tf.Tensor:
    """Reshapes `(rows, beams, n)` to `(rows, beams * n)`."""
    return tf.reshape(values, [-1, values.shape[1] * values.shape[2]])


def _best(some: GeneratedTexts, others: GeneratedTexts, wanted: int) -> GeneratedTexts:
    """The best texts of two sets."""
    tokens, lengths, scores = (tf.concat(values, axis=1) for values in zip(some, others, strict=True))
    scores, best = tf.math.top_k(scores, wanted)
    return GeneratedTexts(tf.gather(tokens, best, batch_dims=1), tf.gather(lengths, best, batch_dims=1), scores)


def _only(loop: dict[str, Any], remain: tf.Tensor) -> dict[str, Any]:
    """The loop with the rows `remain`; the best texts of all its rows are stored in `found` first."""
    names = ("row", "alive_tokens", "alive", "ended", "past", "visible", "source")
    rest = tf.nest.map_structure(lambda values: tf.gather(values, remain), {name: loop[name] for name in names})
    return {**loop, **rest, "found": _scatter_rows(loop["found"], loop["row"], loop["ended"])}


def _scatter_rows(found: GeneratedTexts, row: tf.Tensor, written: GeneratedTexts) -> GeneratedTexts:
    """`found`, updated with the texts `written` of the rows `row`."""
    changes = (tf.tensor_scatter_nd_update(old, row[:, None], new) for old, new in zip(found, written, strict=True))
    return GeneratedTexts(*changes)
