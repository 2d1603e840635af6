"""Figures of an evaluation: what they show, and that they are legible for any label names."""

import itertools

import numpy as np
import pytest

from keras_bert_scratch.tasks import pictures
from keras_bert_scratch.tasks.error_analysis import ByGroup, ByLabel, Confusion, Scatter

LONG = tuple(f"a_rather_long_name_of_the_label_{number}" for number in range(20))


def confusion(*labels: str) -> Confusion:
    return Confusion(labels, np.random.default_rng(0).integers(0, 2000, (len(labels), len(labels))))


def by_label(*labels: str) -> ByLabel:
    return ByLabel.of(labels, [set(labels)], [set(labels[:1])])


@pytest.mark.parametrize(
    "breakdown",
    [
        confusion("no", "yes"),
        confusion(*LONG),
        confusion(*map(str, range(31))),
        Confusion(("no", "yes"), np.array([[0, 0], [3, 0]])),
        by_label(*LONG),
        by_label("$a$", "$\\frac$"),
    ],
    ids=["two", "long names", "many", "one label alone", "by label", "dollars"],
)
def test_every_name_is_in_the_picture_and_beside_the_others(breakdown):
    figure = pictures.figure_of(breakdown, "run on $\\dev$.csv")
    figure.canvas.draw()
    axes = figure.axes[0]
    whole = figure.bbox.padded(1)
    down, across = (
        [label.get_window_extent() for label in labels()] for labels in (axes.get_yticklabels, axes.get_xticklabels)
    )
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 and whole.y0 <= box.y0 for box in (*down, *across))
    assert all(box.y1 <= axes.bbox.y0 for box in across)
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(down))


@pytest.mark.parametrize(("true", "given"), [([1.0, 2.0, 2.0], [1.5, 1.5, 0.0]), ([1.0], [1.0])])
def test_numbers_are_points(true, given):
    [points] = pictures.figure_of(Scatter(true, given), "run").axes[0].collections
    assert points.get_offsets().tolist() == [list(pair) for pair in zip(true, given, strict=True)]


def test_the_line_of_right_answers_is_there_where_both_have_one_scale():
    scores, cosines = Scatter([1.0, 5.0], [1.5, 4.0]), Scatter([1.0, 5.0], [0.1, 0.9], "cosine", same_scale=False)
    of_scores, of_cosines = (pictures.figure_of(one, "run").axes[0] for one in (scores, cosines))
    assert [len(of_scores.lines), len(of_cosines.lines)] == [1, 0]
    assert [of_scores.get_ylabel(), of_cosines.get_ylabel()] == ["answer", "cosine"]


def test_long_names_differ_where_they_are_cut():
    assert len(set(pictures._short(LONG))) == len(LONG)
    assert max(map(len, pictures._short(LONG))) < 30
    assert pictures._short(["a\nb", "a" * 28, "a" * 29]) == ["a b", "a" * 28, f"{'a' * 14}…{'a' * 14}"]
    assert pictures._short([]) == []
    collide = [f"name of a label, {number:02} of all labels of this data" for number in range(20)]
    names = pictures.figure_of(confusion(*collide), "").axes[0].get_xticklabels()
    assert len({name.get_text() for name in names}) == len(collide)


def test_a_row_of_a_confusion_is_what_is_right_and_a_column_what_was_answered():
    axes = pictures.figure_of(Confusion(("no", "yes"), np.array([[6, 2], [0, 3]])), "").axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.75, 0.25], [0.0, 1.0]])
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "6", (1, 0): "2", (1, 1): "3"}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["no (8)", "yes (3)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted label", "gold label (rows)")


@pytest.mark.parametrize(("number", "shown"), [(2, 4), (30, 900), (31, 0)])
def test_cells_have_numbers_unless_there_are_too_many(number, shown):
    counts = np.full((number, number), 7)
    axes = pictures.figure_of(Confusion(tuple(map(str, range(number))), counts), "").axes[0]
    assert [text.get_text() for text in axes.texts] == ["7"] * shown


def bars_of(figure) -> dict[str, list[float]]:
    """The lengths of the bars by their name in the legend."""
    return {bars.get_label(): [bar.get_width() for bar in bars] for bars in figure.axes[0].containers}


def test_bars_are_precision_recall_and_f1():
    true = [{"a", "b"}, {"a"}, {"a"}, {"b"}]
    given = [{"a"}, {"a", "b"}, set(), {"b"}]
    figure = pictures.figure_of(ByLabel.of(("a", "b"), true, given), "run on dev.csv, 4 rows")
    assert bars_of(figure) == {
        "precision": [1.0, 0.5],
        "recall": pytest.approx([2 / 3, 0.5], abs=1e-4),
        "f1 (number at the right)": pytest.approx([0.8, 0.5], abs=1e-4),
    }
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a (3)", "b (2)"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.80", "0.50"]
    assert figure._suptitle.get_text() == "Precision, recall and F1\nrun on dev.csv, 4 rows"


def test_groups_of_rows_have_a_bar_in_each_metric():
    table = {"1": {"rows": 3, "exact_match": 50.0, "f1": 60.0}, "2": {"rows": 1000, "exact_match": 0.0, "f1": None}}
    figure = pictures.figure_of(ByGroup("words of the answer", table), "run on dev.json, 1,003 rows")
    assert bars_of(figure) == {"exact match": [50.0, 0.0], "f1 (number at the right)": [60.0, 0.0]}
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["1 (3)", "2 (1,000)"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["60.0", "-"]
    assert figure.axes[0].get_xlim() == (0.0, 100.0)
    assert figure._suptitle.get_text().startswith("Exact match and f1 by words of the answer\nrun on dev.json")


def test_every_metric_of_a_group_has_a_bar_of_its_own():
    table = {
        "1": {"rows": 3, "a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5},
        "2": {"rows": 3, **dict.fromkeys("abcde", 1.0)},
    }
    axes = pictures.figure_of(ByGroup("layer", table, 1.0), "run").axes[0]
    assert [[bar.get_width() for bar in bars] for bars in axes.containers] == [
        [value / 10, 1.0] for value in range(1, 6)
    ]
    bars = sorted((bar for bars in axes.containers for bar in bars), key=lambda bar: bar.get_y())
    assert all(one.get_y() + one.get_height() <= other.get_y() for one, other in itertools.pairwise(bars))
    assert len({bars[0].get_facecolor() for bars in axes.containers}) == 5


def test_the_highest_correlation_is_1_and_a_negative_one_is_seen():
    breakdown = ByGroup("layer", {"0": {"rows": 2, "spearman": 0.5}, "1": {"rows": 2, "spearman": -0.2}}, highest=1.0)
    assert pictures.figure_of(breakdown, "run").axes[0].get_xlim() == (-0.2, 1.0)
