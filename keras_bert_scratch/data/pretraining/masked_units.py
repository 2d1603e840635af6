"""Masking in larger units than tokens: whole words, and runs of several words."""

from __future__ import annotations

import numpy as np

from keras_bert_scratch.data import rng

LONGEST_RUN = {"tokens": 1, "words": 1, "ngrams": 3}  # the maximum number of units that are chosen together


def choose_units(
    maskable: np.ndarray,
    continues: np.ndarray,
    priority: np.ndarray,
    limits: np.ndarray,
    longest_run: int,
    keys: np.ndarray,
) -> np.ndarray:
    """Chooses runs of units in the order of their priority, as far as they fit into the row's limit.

    A unit is a maskable token with the maskable ones directly after it that continue its word. A run has one unit or
    several neighbouring ones; it is cut short at the end of a segment, at a unit that is already chosen, and at the
    limit.

    Args:
        maskable: bool `(rows, length)`. Which tokens may be chosen.
        continues: bool `(rows, length)`. Which tokens continue the word of the token before them, as `##ing` does.
        priority: uint64 `(rows, length)`. Units are visited in ascending order of their first token's priority.
        limits: int64 `(rows,)`. Maximum number of tokens that are chosen in a row.
        longest_run: int. Maximum number of units in a run.
        keys: uint64 `(rows,)`. They determine how long runs should be.

    Returns: bool `(rows, length)`, which tokens are chosen.

    Example:
        >>> ones, continues = np.ones((1, 3), bool), np.array([[False, True, False]])
        >>> priority = np.array([[1, 2, 3]], np.uint64)
        >>> choose_units(ones, continues, priority, np.array([2]), 1, rng.random_hash("a key", [0])).tolist()
        [[True, True, False]]
    """
    length, rows = maskable.shape[1], np.arange(len(maskable))
    joined = np.zeros_like(maskable)  # to the token before, as a piece of the same unit
    joined[:, 1:] = continues[:, 1:] & maskable[:, 1:] & maskable[:, :-1]
    starts = maskable & ~joined
    next_unit = _unit_ends(starts, joined)
    visits = np.argsort(np.where(starts, priority, rng.LAST), axis=1)[:, : starts.sum(axis=1).max(initial=0)]
    run_lengths = _run_lengths(longest_run, keys[:, None], visits)

    left = limits
    edges = np.zeros((len(rows), length + 1), np.int8)  # 1 where a chosen run begins, -1 after its end
    for start, run_length in zip(visits.T, run_lengths.T, strict=True):
        # The run grows unit by unit. Where no unit starts (a special token, padding, a chosen token) it cannot grow.
        unit_starts, end = [], start
        for number in range(1, longest_run + 1):
            longer = next_unit[rows, end]
            grows = (number <= run_length) & (longer - start <= left)
            unit_starts.append(end)
            end = np.where(grows, longer, end)
        for unit_start in unit_starts:  # chosen units are no longer available
            next_unit[rows, unit_start] = np.where(unit_start < end, unit_start, next_unit[rows, unit_start])
        edges[rows, start] += 1
        edges[rows, end] -= 1
        left = left - (end - start)
        if not left.any():
            break
    return np.cumsum(edges[:, :-1], axis=1, dtype=np.int8) == 1


def _unit_ends(starts: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """The end of the unit that starts at each position, `(rows, length + 1)`; the position itself if none starts."""
    length = starts.shape[1]
    positions = np.arange(length + 1)
    breaks = np.where(joined, length, positions[:-1])
    following = np.full((len(starts), length + 1), length)
    following[:, :-1] = np.minimum.accumulate(breaks[:, ::-1], axis=1)[:, ::-1]  # the first break from here on
    ends = np.tile(positions, (len(starts), 1))
    ends[:, :-1] = np.where(starts, following[:, 1:], positions[:-1])
    return ends


def _run_lengths(longest_run: int, keys: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """How many units each run should have: n with a probability proportional to 1/n."""
    weights = 1 / np.arange(1, longest_run + 1)
    bounds = np.cumsum(weights / weights.sum())[:-1]
    return 1 + np.searchsorted(bounds, rng.uniform(keys, "run", visits), side="right")
