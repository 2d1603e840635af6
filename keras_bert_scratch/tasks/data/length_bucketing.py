"""Length bucketing: texts of similar length share a batch, so that the batch needs little padding."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np

from keras_bert_scratch.data.rng import permutation, random_hash

WINDOW_BATCHES = 50


def bucketed_batches(num_tokens: np.ndarray, batch_size: int, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
    """An infinite stream of batches, as text numbers; every text occurs once per epoch.

    The shuffled epochs are concatenated and cut into windows of `WINDOW_BATCHES` batches. Within a window, and never
    across the end of an epoch, texts are sorted by length and cut into batches, and the batches are shuffled. The last
    batch of an epoch is completed with texts of the next epoch and keeps its position.

    Args:
        num_tokens: number of tokens in each text, int `(texts,)`.
        batch_size: texts per batch.
        seed: seed of the order.
        first_step: how many batches to skip at the start; skipping any number costs the same.

    Yields: int64 `(batch_size,)`, the text numbers.

    Example:
        >>> batches = bucketed_batches(np.array([30, 5, 31, 6]), batch_size=2, seed=0)
        >>> sorted(sorted(next(batches).tolist()) for _ in range(2))
        [[0, 2], [1, 3]]
    """
    window_size = WINDOW_BATCHES * batch_size

    @functools.lru_cache(maxsize=2)
    def order(epoch: int) -> np.ndarray:
        return permutation(len(num_tokens), "texts", seed, epoch)

    def batches_of(window: int) -> np.ndarray:
        epochs, positions = np.divmod(np.arange(window * window_size, (window + 1) * window_size), len(num_tokens))
        texts = np.concatenate([order(epoch)[positions[epochs == epoch]] for epoch in np.unique(epochs).tolist()])
        # The sort is stable, so texts of equal length keep their random order. Every other epoch is sorted from long
        # to short, so that the texts in a batch of two epochs have similar lengths.
        lengths = np.where(epochs % 2, -num_tokens[texts], num_tokens[texts])
        batches = texts[np.lexsort((lengths, epochs))].reshape(WINDOW_BATCHES, batch_size)
        epochs = epochs.reshape(WINDOW_BATCHES, batch_size)
        order_of_batches = random_hash("batches", seed, window, np.arange(WINDOW_BATCHES))
        return batches[np.lexsort((order_of_batches, epochs[:, -1], epochs[:, 0]))]

    window, left_out = divmod(first_step, WINDOW_BATCHES)
    return itertools.islice(itertools.chain.from_iterable(map(batches_of, itertools.count(window))), left_out, None)


class TokenBudget:
    """Batches with about the same number of tokens each: many short texts, or few long ones.

    Texts are sorted by length and cut where the number of rows times the longest row would exceed the budget. The cuts,
    and so the number of batches, are the same in every epoch. Each epoch draws anew the order of texts of equal length
    and the order of the batches.

    Args:
        num_tokens: number of tokens in each text, int `(texts,)`.
        batch_tokens: int. Maximum number of positions in a batch, padding included; a batch with the minimum number of
            rows may have more.
        multiple: int, default 1. The number of rows in every batch is a multiple of it, for an equal share per replica.
            The batch with the longest texts is completed with the shortest ones.

    Example:
        >>> budget = TokenBudget(np.array([30, 5, 31, 6, 7]), batch_tokens=60)
        >>> len(budget), sorted(sorted(batch.tolist()) for batch in itertools.islice(budget.batches(seed=0), 3))
        (3, [[0], [1, 3, 4], [2]])
    """

    def __init__(self, num_tokens: np.ndarray, batch_tokens: int, multiple: int = 1) -> None:
        self._num_tokens = num_tokens
        self._ends = [0]
        lengths = np.sort(num_tokens)
        while (start := self._ends[-1]) < len(lengths):
            some = lengths[start : start + max(multiple, batch_tokens)]
            rows = int(np.searchsorted(some * np.arange(1, len(some) + 1), batch_tokens, side="right"))
            self._ends.append(start + max(rows - rows % multiple, multiple))

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        return len(self._ends) - 1

    def batches(self, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
        """An infinite stream of batches as text numbers, int64; skipping to `first_step` costs nothing."""
        epoch, left_out = divmod(first_step, len(self))
        return itertools.islice(
            itertools.chain.from_iterable(self._epoch(seed, number) for number in itertools.count(epoch)),
            left_out,
            None,
        )

    def _epoch(self, seed: int, epoch: int) -> Iterator[np.ndarray]:
        texts = permutation(len(self._num_tokens), "texts", seed, epoch)
        texts = texts[np.argsort(self._num_tokens[texts], kind="stable")]
        for batch in permutation(len(self), "batches", seed, epoch).tolist():
            yield texts[np.arange(self._ends[batch], self._ends[batch + 1]) % len(texts)]


def sorted_batches(num_tokens: np.ndarray, batch_size: int, windows: np.ndarray | None = None) -> list[np.ndarray]:
    """Batches, as text numbers, for one pass over all texts in any order, as in evaluation.

    Texts are sorted by length, so that batches need the least padding; texts of equal length stay in order. The caller
    restores the order of the results by the text numbers.

    Args:
        num_tokens: number of tokens in each text, int `(texts,)`.
        batch_size: texts per batch; the last batch may have fewer.
        windows: int `(texts,)` or `None`, default `None`. Number of windows of each text, if texts are split into
            windows; a batch then has at most `batch_size` windows, or a single text.

    Returns: int64 arrays of text numbers.

    Example:
        >>> [batch.tolist() for batch in sorted_batches(np.array([30, 5, 31, 6, 7]), batch_size=2)]
        [[1, 3], [4, 0], [2]]
    """
    order = np.argsort(num_tokens, kind="stable")
    if windows is not None and windows.max(initial=1) > 1:
        batches: list[list[int]] = [[]]
        for text in order.tolist():
            if batches[-1] and windows[batches[-1]].sum() + windows[text] > batch_size:
                batches.append([])
            batches[-1].append(text)
        return [np.array(batch) for batch in batches]
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
