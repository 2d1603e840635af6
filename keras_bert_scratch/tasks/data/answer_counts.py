"""Counts of the training answers that a model can learn, and of those that it cannot, by reason."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def answer_counts(
    has_answer: np.ndarray, pieces: np.ndarray, windows: np.ndarray, shown: np.ndarray, max_answer_length: int
) -> dict[str, int]:
    """Counts the answers that are learnt, those that are not, by reason, and the windows that point at `[CLS]`.

    Args:
        has_answer: bool `(questions,)`.
        pieces: int `(questions,)`. WordPieces in each answer.
        windows: int `(questions,)`. Windows that each passage is split into.
        shown: int `(questions,)`. Windows that contain the whole answer.
        max_answer_length: int. Maximum number of pieces in a predicted answer.

    Returns:
        `questions`, which divide into `without_answer`, `learnt`, `in_no_window` (the answer is longer than a window,
        or every window cuts it) and `without_pieces` (the tokenizer produces no piece for it). `too_long` counts the
        learnt answers that are longer than a predicted answer may be. `windows`; among them `windows_at_cls`, which
        do not contain a whole answer and learn to point at `[CLS]`.

    Example:
        >>> counts = answer_counts(np.array([True, True]), np.array([2, 9]), np.array([1, 3]), np.array([1, 0]), 5)
        >>> {name: count for name, count in counts.items() if count}
        {'questions': 2, 'learnt': 1, 'in_no_window': 1, 'windows': 4, 'windows_at_cls': 3}
    """
    learnt, without_pieces = has_answer & (shown > 0), has_answer & (pieces < 1)
    counts = {
        "questions": len(has_answer),
        "without_answer": np.sum(~has_answer),
        "learnt": np.sum(learnt),
        "in_no_window": np.sum(has_answer & ~learnt & ~without_pieces),
        "without_pieces": np.sum(without_pieces),
        "too_long": np.sum(learnt & (pieces > max_answer_length)),
        "windows": np.sum(windows),
        "windows_at_cls": np.sum(windows) - np.sum(np.where(has_answer, shown, 0)),
    }
    return {name: int(count) for name, count in counts.items()}


def in_words(counts: Mapping[str, int], max_answer_length: int) -> str:
    """The result of `answer_counts` as one line of text.

    Example:
        >>> counts = {"questions": 5, "without_answer": 0, "learnt": 5, "in_no_window": 0, "without_pieces": 0}
        >>> in_words({**counts, "too_long": 1, "windows": 7, "windows_at_cls": 2}, 30)
        '5 of 5 answers are learnt (1 longer than 30 pieces, so never predicted); 2 of 7 windows point at [CLS]'
    """
    answers = counts["questions"] - counts["without_answer"]
    line = f"{counts['learnt']:,} of {answers:,} answers are learnt"
    if counts["too_long"]:
        line += f" ({counts['too_long']:,} longer than {max_answer_length} pieces, so never predicted)"
    if counts["in_no_window"]:
        line += f", {counts['in_no_window']:,} are not complete in any window"
    if counts["without_pieces"]:
        line += f", {counts['without_pieces']:,} have no pieces"
    return f"{line}; {counts['windows_at_cls']:,} of {counts['windows']:,} windows point at [CLS]"
