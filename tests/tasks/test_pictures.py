"""Pictures of an evaluation: written, and legible whatever the labels are called."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import pictures
from keras_bert_scratch.tasks.error_analysis import ByLabel, Confusion, Scatter

PNG = b"\x89PNG\r\n\x1a\n"
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


def test_long_names_differ_where_they_are_cut():
    assert len({pictures._short(label) for label in LONG}) == len(LONG)
    assert max(len(pictures._short(label)) for label in LONG) < 30


@pytest.mark.parametrize(("number", "shown"), [(2, 4), (30, 900), (31, 0)])
def test_cells_have_numbers_unless_there_are_too_many(number, shown):
    counts = np.full((number, number), 7)
    axes = pictures.figure_of(Confusion(tuple(map(str, range(number))), counts), "").axes[0]
    assert [text.get_text() for text in axes.texts] == ["7"] * shown


def test_a_picture_is_written_once():
    pictures.draw(confusion("no", "yes"), "run", "errors.png")
    assert Path("errors.png").read_bytes().startswith(PNG)
    with pytest.raises(kbs.UserError, match=r"errors\.png: exists already"):
        pictures.check_name("errors.png")
    with pytest.raises(kbs.UserError, match=r"`picture`: is a PNG, so give it a name that ends in \.png, not 'a\.pdf'"):
        pictures.check_name("a.pdf")
