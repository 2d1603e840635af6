"""SQuAD's official scores, and the threshold for no answer."""

import numpy as np
import pytest

from keras_bert_scratch.tasks.answer_scores import (
    answer_scores,
    answer_scores_with_none,
    best_threshold,
    tuned_threshold,
)


@pytest.mark.parametrize(
    ("given", "true", "v1", "v2"),
    [
        ("The", "a", (100, 0), (100, 100)),
        ("U.S.", "US", (100, 100), (100, 100)),
        ("well-known", "well known", (0, 0), (0, 0)),
        ("the Otter!", "otter", (100, 100), (100, 100)),
        ("otter", "the otter of Rome", (0, 50), (0, 50)),
        ("a a b", "a b b", (0, 200 / 3), (0, 200 / 3)),
        ("", "otter", (0, 0), (0, 0)),
        ("otter\u00a0\u2009heron", "otter heron", (100, 100), (100, 100)),
        ("“otter”", "otter", (0, 0), (0, 0)),
    ],
)
def test_official_scores(given, true, v1, v2):
    assert tuple(answer_scores([given], [[true]]).values()) == pytest.approx(v1)
    results = answer_scores_with_none([given], [[true]])
    assert (results["exact_match"], results["f1"]) == pytest.approx(v2)


def test_the_best_of_several_answers_counts():
    assert answer_scores(["the river", "x"], [["lake", "River"], ["y"]]) == {"exact_match": 50.0, "f1": 50.0}


def test_questions_without_answer():
    results = answer_scores_with_none(["", "x", "y"], [[], [], ["y"]])
    assert results["exact_match"] == pytest.approx(200 / 3)
    assert (results["no_answer_f1"], results["has_answer_f1"]) == (50.0, 100.0)
    # An answer that is only an article has no words after normalization, so the empty answer is right.
    assert answer_scores_with_none([""], [["the"]])["exact_match"] == 100.0


@pytest.mark.parametrize(
    ("odds", "expected"),
    [
        ([-2.0, 3.0, 1.0], (100.0, 1.0)),  # both answerable questions have odds up to 1.0; the unanswerable one has 3.0
        ([3.0, -2.0, 4.0], (200 / 3, 4.0)),
        ([1.0, 1.0, 1.0], (200 / 3, 1.0)),
    ],
)
def test_the_best_threshold(odds, expected):
    assert best_threshold(["x", "y", "z"], [["x"], [], ["z"]], odds, "exact_match") == pytest.approx(expected)


@pytest.mark.parametrize("measure", ["exact_match", "f1"])
@pytest.mark.parametrize("seed", range(5))
def test_the_tuned_threshold_gives_the_best_score_there_is(measure, seed):
    """Compared with trying every threshold; questions with equal odds are always treated alike."""
    draws = np.random.default_rng(seed)
    best = [["x", "x y", "v"][number] for number in draws.integers(0, 3, 12)]
    answers = [[["x"], ["y z"], []][number] for number in draws.integers(0, 3, 12)]
    odds = draws.integers(-4, 4, 12).astype(float)

    def score(threshold: float) -> float:
        given = ["" if odd > threshold else text for text, odd in zip(best, odds, strict=True)]
        return answer_scores_with_none(given, answers)[measure]

    found = tuned_threshold(best, answers, odds.tolist(), measure)
    assert score(found) == pytest.approx(max(score(threshold) for threshold in np.arange(-5, 6)))
    assert np.abs(odds - found).min() >= 0.5


@pytest.mark.parametrize(("odds", "answers", "expected"), [([1.0], [[]], 0.0), ([1.0], [["x"]], 2.0)])
def test_the_tuned_threshold_beyond_all_odds(odds, answers, expected):
    assert tuned_threshold(["x"], answers, odds, "f1") == expected
