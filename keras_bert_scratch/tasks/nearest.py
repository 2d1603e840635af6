"""Nearest: the texts whose vectors are nearest to queries, among any number of texts in constant memory."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

SHORTEST = 1e-12  # smallest norm; a vector of zeros has cosine 0 with every other


@dataclasses.dataclass
class Hit:
    """A text that was found.

    Args:
        score: float. Its cosine with the query, from -1 to 1.
        line: int. The line of its first occurrence, from 1.
        text: str.
        count: int. How often it occurs.
    """

    score: float
    line: int
    text: str
    count: int


class Nearest:
    """Keeps the best of all texts added, each text once; among equal scores, the earlier text ranks first.

    Args:
        queries: float `(queries, size)`. The queries' vectors, of any norm.
        top: int. How many texts to keep for each.

    Example:
        >>> nearest = Nearest(np.array([[1.0, 0.0]]), top=2)
        >>> nearest.add(["a", "b", "a"], [1, 2, 4], np.array([[3.0, 4.0], [-1.0, 0.0], [3.0, 4.0]]))
        >>> nearest.add(["c", "", "a"], [5, 6, 7], np.array([[0.0, 1.0], [1.0, 0.0], [3.0, 4.0]]))
        >>> [(hit.text, round(hit.score, 3), hit.line, hit.count) for hit in nearest.hits[0]]
        [('a', 0.6, 1, 3), ('c', 0.0, 5, 1)]
    """

    def __init__(self, queries: np.ndarray, top: int) -> None:
        self._queries = _unit(queries)
        self._top = top
        self.hits: list[list[Hit]] = [[] for _ in queries]

    def add(self, texts: Sequence[str], lines: Sequence[int], vectors: np.ndarray) -> None:
        """Adds texts, in the order of their lines; texts of only whitespace are ignored."""
        counts = collections.Counter(texts)
        first = {text: number for number, text in reversed(list(enumerate(texts))) if text.strip()}
        numbers = sorted(first.values())
        scores = np.clip(self._queries @ _unit(vectors[numbers]).T, -1.0, 1.0)
        for query, of_query in enumerate(scores):
            kept = {hit.text: hit for hit in self.hits[query]}
            for hit in kept.values():
                hit.count += counts[hit.text]
            new = []
            for index in np.argsort(-of_query, kind="stable"):
                text = texts[numbers[index]]
                if len(new) == self._top:
                    break
                if text not in kept:
                    new.append(Hit(float(of_query[index]), lines[numbers[index]], text, counts[text]))
            best = sorted([*kept.values(), *new], key=lambda hit: (-hit.score, hit.line))
            self.hits[query] = best[: self._top]


def _unit(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SHORTEST)
