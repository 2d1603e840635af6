"""What becomes of the answers of training data, whose passages are read in windows: counted by reason."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def answer_counts(
    has_answer: np.ndarray, pieces: np.ndarray, windows: np.ndarray, shown: np.ndarray, max_answer_length: int
) -> dict[str, int]:
    """How many answers are learnt, how many are not and why, and how many windows point at `[CLS]`.

    Args:
        has_answer: bool `(questions,)`.
        pieces: int `(questions,)`. Of each answer.
        windows: int `(questions,)`. In which the passage is read.
        shown: int `(questions,)`. In how many of these the whole answer is.
        max_answer_length: int. Pieces that an answer can have when it is given.

    Returns:
        `questions`; of these `without_answer`; `learnt`; `in_no_window`: the answer is longer than a window, or cut by
        the bounds of all; `without_pieces`: the tokenizer leaves nothing of it. Of the learnt ones `too_long` are
        longer than an answer can be when given. `windows`; of these `windows_at_cls`, which do not show a whole answer
        and learn to point at `[CLS]`.

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
    """What `answer_counts` gave as one line.

    Example:
        >>> counts = {"questions": 5, "without_answer": 0, "learnt": 5, "in_no_window": 0, "without_pieces": 0}
        >>> in_words({**counts, "too_long": 1, "windows": 7, "windows_at_cls": 2}, 30)
        '5 of 5 answers are learnt (1 longer than 30 pieces, never given as an answer); 2 of 7 windows point at [CLS]'
    """
    answers = counts["questions"] - counts["without_answer"]
    line = f"{counts['learnt']:,} of {answers:,} answers are learnt"
    if counts["too_long"]:
        line += f" ({counts['too_long']:,} longer than {max_answer_length} pieces, never given as an answer)"
    if counts["in_no_window"]:
        line += f", {counts['in_no_window']:,} are whole in no window"
    if counts["without_pieces"]:
        line += f", {counts['without_pieces']:,} have no pieces"
    return f"{line}; {counts['windows_at_cls']:,} of {counts['windows']:,} windows point at [CLS]"
