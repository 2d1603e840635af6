"""Scores of starts and ends to the best answers of each passage, in the graph."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

IMPOSSIBLE = -1e9


@dataclasses.dataclass(frozen=True)
class Spans:
    """The best spans of each passage, the best first.

    Args:
        start, end: int32 `(rows, spans)`. The first and the last piece in the passage.
        scores: float32 `(rows, spans)`. The sum of both logits, or `IMPOSSIBLE` where there is no further span.
        null_score: float32 `(rows,)`. Of no answer: the least over the windows of `[CLS]`'s sum of logits.
    """

    start: tf.Tensor
    end: tf.Tensor
    scores: tf.Tensor
    null_score: tf.Tensor


def best_spans(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    window_counts: tf.Tensor,
    first_piece: tf.Tensor,
    may_start: tf.Tensor,
    may_end: tf.Tensor,
    max_answer_length: int,
    num_spans: int,
) -> Spans:
    """The spans with the highest sums of a start's and an end's logit, over all windows of a passage.

    Args:
        start_logits, end_logits: float32 `(windows, length)`.
        window_counts: int32 `(rows,)`. Windows of each row, which lie one after another.
        first_piece: int32 `(windows,)`. Which piece of the passage would be at position 0.
        may_start, may_end: bool `(windows, length)`. Where a span may start and end.
        max_answer_length: int. Pieces of a span at most.
        num_spans: int. How many to give.
    """
    windows, length = tf.unstack(tf.shape(start_logits))
    starts = tf.where(may_start, start_logits, IMPOSSIBLE)
    ends = tf.pad(
        tf.where(may_end, end_logits, IMPOSSIBLE), [[0, 0], [0, max_answer_length - 1]], constant_values=IMPOSSIBLE
    )
    # (windows, length, max_answer_length): the span that starts at a position and has 1, 2, 3... pieces
    sums = starts[:, :, None] + tf.stack(
        [ends[:, offset : offset + length] for offset in range(max_answer_length)], axis=-1
    )
    sums = tf.maximum(sums, IMPOSSIBLE)

    best, at = tf.math.top_k(
        tf.pad(tf.reshape(sums, [windows, -1]), [[0, 0], [0, num_spans]], constant_values=IMPOSSIBLE), num_spans
    )
    start = first_piece[:, None] + at // max_answer_length
    end = start + at % max_answer_length

    def by_row(values: tf.Tensor, filling: float) -> tf.Tensor:
        rows = tf.RaggedTensor.from_row_lengths(values, window_counts, validate=False).to_tensor(filling)
        return tf.reshape(rows, [tf.size(window_counts), -1])

    scores, order = tf.math.top_k(by_row(best, IMPOSSIBLE), num_spans)
    row = tf.repeat(tf.range(tf.size(window_counts)), window_counts)
    null_score = tf.math.unsorted_segment_min(start_logits[:, 0] + end_logits[:, 0], row, tf.size(window_counts))
    return Spans(
        tf.gather(by_row(start, 0), order, batch_dims=1),
        tf.gather(by_row(end, 0), order, batch_dims=1),
        scores,
        null_score,
    )
