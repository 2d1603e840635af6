"""The nearest texts, block by block, against all scores at once."""

import numpy as np
import pytest

from keras_bert_scratch.tasks.nearest import Nearest

rng = np.random.default_rng(0)
VECTORS = rng.normal(size=(60, 5)).astype("float32")
# 18 texts, three times each, and 6 blank ones, whose vector is the sum of all vectors.
TEXTS = [f"text {number % 20}" if number % 10 else " " for number in range(60)]
ROWS = np.array([VECTORS[number % 20] if number % 10 else VECTORS.sum(0) for number in range(60)])
LINES = [2 * number + 1 for number in range(60)]
QUERIES = rng.normal(size=(3, 5)) * 7


def by_brute_force(query: np.ndarray, top: int) -> list[tuple[str, int, int]]:
    found = {}
    for text, line, row in zip(TEXTS, LINES, ROWS, strict=True):
        if text.strip():
            score = row @ query / np.linalg.norm(row) / np.linalg.norm(query)
            found.setdefault(text, [score, line, 0])[2] += 1
    best = sorted(found.items(), key=lambda item: (-item[1][0], item[1][1]))
    return [(text, line, count) for text, (_, line, count) in best[:top]]


@pytest.mark.parametrize("block", [1, 7, 60])
@pytest.mark.parametrize("top", [1, 4, 18, 100])
def test_it_is_what_all_scores_say(block, top):
    nearest = Nearest(QUERIES, top)
    for start in range(0, 60, block):
        some = slice(start, start + block)
        nearest.add(TEXTS[some], LINES[some], ROWS[some])
    for query, hits in zip(QUERIES, nearest.hits, strict=True):
        assert [(hit.text, hit.line, hit.count) for hit in hits] == by_brute_force(query, top)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_of_equal_scores_the_earlier_text_comes_first():
    nearest = Nearest(np.ones((1, 2)), 2)
    for number in (1, 2):
        nearest.add([f"a{number}", f"b{number}"], [number, number + 5], np.ones((2, 2)))
    assert [hit.text for hit in nearest.hits[0]] == ["a1", "a2"]


def test_a_vector_of_zeros_is_like_nothing():
    nearest = Nearest(np.array([[1.0, 0.0], [0.0, 0.0]]), 1)
    nearest.add(["a"], [1], np.zeros((1, 2)))
    assert [hits[0].score for hits in nearest.hits] == [0.0, 0.0]
