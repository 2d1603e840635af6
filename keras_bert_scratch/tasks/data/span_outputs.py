"""Conversion of start and end logits to the best answer spans of each passage, in the graph."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

IMPOSSIBLE = -1e9


@dataclasses.dataclass(frozen=True)
class Spans:
    """The best spans of each passage, sorted from the best.

    Args:
        start, end: int32 `(rows, spans)`. The first and the last piece of a span, as positions in the passage.
        scores: float32 `(rows, spans)`. The sum of start and end logit, or `IMPOSSIBLE` if there is no further span.
        null_score: float32 `(rows,)`. Score of no answer: the minimum over the windows of the summed `[CLS]` logits.
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
    """The spans with the highest sums of start and end logit, over all windows of a passage.

    Args:
        start_logits, end_logits: float32 `(windows, length)`.
        window_counts: int32 `(rows,)`. Number of windows in each row; the windows of a row are consecutive.
        first_piece: int32 `(windows,)`. The passage piece that position 0 of the window would hold.
        may_start, may_end: bool `(windows, length)`. Where a span may start and end.
        max_answer_length: int. Maximum number of pieces in a span.
        num_spans: int. Number of spans to return.
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
