"""Thresholds: the minimum probability of an assigned label, chosen for the highest F1 on labelled rows."""

from __future__ import annotations

import numpy as np

PLAIN = 0.5  # a logit of 0


def best_threshold(given: np.ndarray, scores: np.ndarray) -> float:
    """The threshold of `scores` with the highest F1; if there are several, the nearest to 0.5.

    All thresholds between two adjacent scores give the same answers. From this interval, 0.5 is returned if it is
    included, else the midpoint.

    Args:
        given: int `(n,)`. 1 where the label is right, else 0. Concatenated labels of several kinds give micro F1.
        scores: float `(n,)`. Probabilities.

    Example:
        >>> round(best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.4, 0.9])), 2)
        0.3
        >>> best_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.6, 0.9]))
        0.5
    """
    order = np.argsort(scores, kind="stable")[::-1]
    scores, given = scores[order], given[order]
    # Equal scores get the same answer: a cut is possible only after the last of them.
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    right = np.cumsum(given)[last]
    f1 = 2 * right / (last + 1 + given.sum())
    lowest = scores[last].astype(np.float64)  # score that still gets the label
    highest = np.append(lowest[1:], 0.0)  # score that does not get it
    middle = (lowest + highest) / 2
    middle = np.where(middle.astype(scores.dtype) > highest, middle, lowest)  # if rounding leaves no midpoint
    thresholds = np.where((highest < PLAIN) & (lowest >= PLAIN), PLAIN, middle)
    if f1.max() == 0:
        return PLAIN
    best = np.flatnonzero(f1 == f1.max())
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - PLAIN))]])
