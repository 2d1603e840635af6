"""The threshold with the highest F1, against trying every threshold."""

import numpy as np
import pytest
from sklearn import metrics

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.thresholds import best_threshold


def f1(given, scores, threshold) -> float:
    return metrics.f1_score(given, scores >= np.float32(threshold), zero_division=0.0)


@pytest.mark.parametrize("digits", [1, 2, 7], ids=lambda digits: f"{digits} digits")
def test_no_threshold_has_a_higher_f1(digits):
    """Also where scores are equal or very close."""
    draws = np.random.default_rng(digits)
    for _ in range(15):
        scores = draws.random(draws.integers(1, 15)).round(digits).astype(np.float32)
        given = (draws.random(len(scores)) < scores * draws.random()).astype(np.int32)
        found = best_threshold(given, scores)
        assert f1(given, scores, found) == pytest.approx(max(f1(given, scores, each) for each in [*scores, 2.0]))


@pytest.mark.parametrize(
    ("given", "scores", "threshold"),
    [
        ([1, 0], [0.9, 0.2], 0.5),  # 0.5 separates them
        ([1, 0], [0.4, 0.2], 0.3),  # the midpoint
        ([0, 0], [0.9, 0.2], 0.5),  # no row has the label
        ([1, 1], [0.6, 0.2], 0.1),
        ([1, 0], [0.5, 0.5], 0.5),  # equal scores get the same answer
        ([1, 0, 1, 0, 0], [0.9, 0.8, 0.2, 0.1, 0.05], 0.15),
        ([1, 0, 0, 1], [0.9, 0.8, 0.7, 0.6], 0.5),  # 0.85 also has an F1 of 2/3, but is farther from 0.5
        ([0, 0, 0, 1, 1], [0.7, 0.7, 0.7, 0.7, 0.2], 0.1),  # no threshold separates equal scores
    ],
)
def test_of_thresholds_that_answer_alike(given, scores, threshold):
    assert best_threshold(np.array(given), np.array(scores, np.float32)) == pytest.approx(threshold)


def test_two_numbers_without_one_between_are_parted():
    """In float32, in which a model compares; the midpoint of one of the pairs is rounded down."""
    score = np.float32(0.7)
    for _ in range(2):
        score, lower = np.nextafter(score, np.float32(1)), score
        scores = np.array([score, lower], np.float32)
        assert (scores >= np.float32(best_threshold(np.array([1, 0]), scores))).tolist() == [True, False]


def spec_of(threshold) -> kbs.Spec:
    return kbs.Spec("multi-label", ("text",), 16, ("a", "b", "c"), options={"threshold": threshold})


def drawn() -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(0)
    given = (draws.random((12, 3)) < [0.5, 0.3, 0.2]).astype(np.int32)
    return given, (0.4 * draws.random((12, 3)) + 0.3 * given).astype(np.float32)


def test_one_threshold_has_the_highest_micro_f1_and_each_its_own_the_highest_f1():
    task, (given, scores) = get_task("multi-label"), drawn()
    decoded, gold = {"scores": scores}, {"labels": given}
    for asked, metric in (("tuned", "f1_micro"), ("tuned-by-label", "f1_macro")):
        spec = spec_of(asked)
        assert task.tuned_option(spec) == "threshold"
        tuned = task.tuned(spec, decoded, gold)
        assert not task.tuned_option(tuned)
        found = task.score(tuned, decoded, gold)[metric]
        assert found > task.score(spec, decoded, gold)[metric]
        tried = [task.score(spec_of(float(each)), decoded, gold) for each in scores.ravel()]
        if asked == "tuned":
            assert found == pytest.approx(max(one["f1_micro"] for one in tried))
        else:
            best = {label: max(one["f1_by_label"][label] for one in tried) for label in spec.labels}
            assert task.score(tuned, decoded, gold)["f1_by_label"] == pytest.approx(best)


def test_before_it_is_tuned_the_threshold_is_plain():
    task, (given, scores) = get_task("multi-label"), drawn()
    plain, waiting = (task.score(spec_of(each), {"scores": scores}, {"labels": given}) for each in (0.5, "tuned"))
    assert plain == waiting


@pytest.mark.parametrize("threshold", [0, 1, -0.1, "nan", "some", "Tuned"])
def test_what_is_no_threshold_is_refused(threshold):
    with pytest.raises(kbs.UserError, match="`threshold`: must be a probability"):
        get_task("multi-label").Options(threshold=threshold)


def test_labels_with_thresholds_of_their_own_come_first():
    spec = spec_of({"b": 0.05, "a": 0.95, "c": 0.3})
    scores = np.array([[0.9, 0.1, 0.4], [0.97, 0.01, 0.2]], np.float32)
    decoded = get_task("multi-label").decode(spec, np.log(scores / (1 - scores)), None)
    assert decoded["labels"].numpy().tolist() == [[b"c", b"b", b""], [b"a", b"", b""]]
    assert decoded["num_labels"].numpy().tolist() == [2, 1]
