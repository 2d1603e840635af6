"""Sentence pairs for pretraining: which stretch of a document is A, which is B, and whether B really follows.

Works on positions alone: a shard's ids lie in one array, and a pair is four numbers into it. That makes a whole
shard's pairs cheap to plan, to shuffle, and to skip when a run resumes.
"""

from __future__ import annotations

import random

import numpy as np

IS_NEXT, IS_RANDOM = 0, 1


class SentencePairs:
    """The pairs of one shard (Devlin et al. 2019, appendix A.2, and Google's `create_instances_from_document`).

    Args:
        sentence_ends: per document the positions in the shard's ids where its sentences end, its start first:
            sentence `i` of a document is `ids[ends[i]:ends[i + 1]]`.
        max_length: tokens of a row, `[CLS]` and the two `[SEP]` included.
        short_seq_prob: how often a pair aims at a random shorter length, as fine-tuning's inputs are shorter.
        seed: all chance comes from it.
    """

    def __init__(self, sentence_ends: list[np.ndarray], max_length: int, short_seq_prob: float, seed: str) -> None:
        self._documents = [ends.tolist() for ends in sentence_ends]
        self._room = max_length - 3
        self._short_seq_prob = short_seq_prob
        self._random = random.Random(seed)

    def plan(self) -> np.ndarray:
        """All pairs in random order: int64 `(pairs, 5)`, columns A's start and end, B's start and end, label."""
        pairs = [pair for document in range(len(self._documents)) for pair in self._pairs_of(document)]
        self._random.shuffle(pairs)
        return np.array(pairs, np.int64).reshape(-1, 5)

    def _pairs_of(self, document: int) -> list[tuple[int, int, int, int, int]]:
        ends, chance = self._documents[document], self._random
        pairs = []
        first, last = 0, len(ends) - 1  # sentences first..last-1 are still to be used
        while first < last:
            target = chance.randint(2, self._room) if chance.random() < self._short_seq_prob else self._room
            stop = first + 1
            while stop < last and ends[stop] - ends[first] < target:
                stop += 1
            # The chunk is sentences first..stop-1. A takes its first one or more, and leaves B one if there are two.
            a_stop = chance.randint(first + 1, stop - 1) if stop - first >= 2 else stop
            start_a, end_a = ends[first], ends[a_stop]
            if stop - first == 1 or chance.random() < 0.5:
                start_b, end_b = self._random_stretch(document, max(1, target - (end_a - start_a)))
                first, label = a_stop, IS_RANDOM  # what B did not take is used again
            else:
                start_b, end_b = ends[a_stop], ends[stop]
                first, label = stop, IS_NEXT
            pairs.append((*self._trimmed(start_a, end_a, start_b, end_b), label))
        return pairs

    def _random_stretch(self, document: int, target: int) -> tuple[int, int]:
        """Sentences of another document, from a random one on, until there are `target` tokens."""
        other = self._random.randrange(len(self._documents) - 1)
        ends = self._documents[other + (other >= document)]
        start = self._random.randrange(len(ends) - 1)
        stop = start + 1
        while stop < len(ends) - 1 and ends[stop] - ends[start] < target:
            stop += 1
        return ends[start], ends[stop]

    def _trimmed(self, start_a: int, end_a: int, start_b: int, end_b: int) -> tuple[int, int, int, int]:
        """The longer segment loses a token at its front or its back, by chance, until both fit."""
        while (excess := end_a - start_a + end_b - start_b - self._room) > 0:
            difference = (end_a - start_a) - (end_b - start_b)
            # Taken at once what one by one would give: from the longer until both are equal, then from both in turn.
            cut = min(excess, abs(difference)) if difference else 1
            front = self._front(cut)
            if difference > 0:
                start_a, end_a = start_a + front, end_a - (cut - front)
            else:
                start_b, end_b = start_b + front, end_b - (cut - front)
        return start_a, end_a, start_b, end_b

    def _front(self, cut: int) -> int:
        """How many of `cut` coin throws say "front"."""
        return self._random.getrandbits(cut).bit_count()
