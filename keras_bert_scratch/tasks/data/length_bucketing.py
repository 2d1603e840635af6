"""Length bucketing: texts of similar length share a batch, which then needs little padding."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator

import numpy as np

from keras_bert_scratch.data.rng import permutation, random_hash

WINDOW_BATCHES = 50


def bucketed_batches(num_tokens: np.ndarray, batch_size: int, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
    """Which texts each batch holds, without end; every text once per epoch.

    The epochs, each shuffled, lie one after another and are cut into windows of `WINDOW_BATCHES` batches. Within a
    window, and never across an epoch's end, texts are sorted by length, cut into batches, and the batches shuffled. The
    batch that an epoch ends in is filled up from the next one and stays where it is.

    Args:
        num_tokens: of each text, int `(texts,)`.
        batch_size: texts per batch.
        seed: of the order.
        first_step: how many batches to leave out at the start; costs the same for any number.

    Yields: int64 `(batch_size,)`, the texts' numbers.

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
        # The sort keeps the order of equals, which is random. Every other epoch counts down, so that in a batch of two
        # epochs long texts meet long ones, or short ones short.
        lengths = np.where(epochs % 2, -num_tokens[texts], num_tokens[texts])
        batches = texts[np.lexsort((lengths, epochs))].reshape(WINDOW_BATCHES, batch_size)
        epochs = epochs.reshape(WINDOW_BATCHES, batch_size)
        order_of_batches = random_hash("batches", seed, window, np.arange(WINDOW_BATCHES))
        return batches[np.lexsort((order_of_batches, epochs[:, -1], epochs[:, 0]))]

    window, left_out = divmod(first_step, WINDOW_BATCHES)
    return itertools.islice(itertools.chain.from_iterable(map(batches_of, itertools.count(window))), left_out, None)


class TokenBudget:
    """Batches of about as many tokens each: many short texts, or few long ones.

    Texts are sorted by length and cut where rows times the longest of them would exceed the budget. Every epoch has the
    same cuts, so as many batches; which text of a length stands where, and the order of the batches, are drawn anew.

    Args:
        num_tokens: of each text, int `(texts,)`.
        batch_tokens: int. Positions of a batch at most, padding included; a batch of the fewest rows may have more.
        multiple: int, default 1. What the rows of every batch are a multiple of, as replicas ask for. The batch of the
            longest texts is filled up with the shortest.

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
        """Batches of an epoch."""
        return len(self._ends) - 1

    def batches(self, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
        """The texts' numbers of each batch, int64, without end; from `first_step` on, which costs nothing."""
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
    """Which texts each batch holds when every text is seen once and the order is free, as in evaluation.

    Texts are sorted by length, those of one length stay in order, so that batches need the least padding. The caller
    puts results back in order by the numbers.

    Args:
        num_tokens: of each text, int `(texts,)`.
        batch_size: texts per batch; the last may have fewer.
        windows: int `(texts,)` or `None`, default `None`. In how many windows each text is read, where not in one;
            a batch then has at most `batch_size` windows, or a single text.

    Returns: int64 arrays, the texts' numbers.

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
