"""The figure of runs: every line shows its run's numbers and differs from the others without colour."""

import math
from pathlib import Path

import pytest
from training.logged import a_run, measured

import keras_bert_scratch as kbs

ROWS = tuple((20 * n, 36.0 * n, 1e-4 / n, 0.1 * n, 9.0 - n, 500 * n) for n in range(1, 5))


def lines_of(axes) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """The x and y values, by line style and marker."""
    return {
        (line.get_linestyle(), line.get_marker()): (line.get_xdata().tolist(), list(line.get_ydata()))
        for line in axes.lines
    }


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_solid_lines_are_the_log_and_dashed_ones_what_was_held_out():
    a_run("a/run", ROWS, results=measured(8.5, 7.5))
    a_run("b/run", ROWS[:2])
    figure = kbs.plot_curves(["a/run", "b/run"])
    assert [axes.get_title() for axes in figure.axes] == [
        *("pretraining: loss", "pretraining: accuracy", "pretraining: learning rate"),
    ]
    assert lines_of(figure.axes[0]) == {
        ("-", "o"): ([20, 40, 60, 80], [8.0, 7.0, 6.0, 5.0]),
        ("--", "o"): ([20, 40], [8.5, 7.5]),
        ("-", "s"): ([20, 40], [8.0, 7.0]),
    }
    assert lines_of(figure.axes[1])["-", "o"][1] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert texts(figure) == ["a", "b", "training", "held out"]
    assert figure._suptitle.get_text() == "Training of 2 runs, held out: 50 rows"


@pytest.mark.parametrize(
    ("by", "seconds", "label", "right", "held_out"),
    [
        ("steps", 36.0, "step", [20, 40], [10, 20, 30]),
        ("tokens", 36.0, "tokens read", [500, 1000], [250, 500, 750]),
        ("time", 36.0, "seconds", [36, 72], [18, 36, 54]),
        ("time", 360.0, "minutes", [6, 12], [3, 6, 9]),
        ("time", 7200.0, "hours", [2, 4], [1, 2, 3]),
    ],
)
def test_what_goes_to_the_right_is_interpolated_between_rows(by, seconds, label, right, held_out):
    rows = [(step, seconds * step / 20, 0.1, 0.1, 9.0, 25 * step) for step in (20, 40)]
    a_run("run", rows, results=measured(8.7, 8.6, 8.5, every=10))
    axes = kbs.plot_curves("run", metrics=["loss"], by=by).axes[0]
    found = lines_of(axes)
    assert found["-", "o"][0] == pytest.approx(right)
    assert found["--", "o"][0] == pytest.approx(held_out)
    assert axes.get_xlabel() == label


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ([{"seed": 0}, {"seed": 1}], ["seed-0", "seed-1"]),
        ([{"batch_size": 16}, {"batch_size": 32}], ["seed-0 (batch size 16)", "seed-1 (batch size 32)"]),
        ([{"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 2}], ["seed-0", "seed-1"]),
    ],
    ids=["in the name", "beside it", "too many"],
)
def test_the_legend_tells_what_differs(settings, told):
    for number, changes in enumerate(settings):
        a_run(f"seeds/seed-{number}", **changes)
    assert texts(kbs.plot_curves("seeds"))[:2] == told


def test_each_task_has_a_row_and_the_metric_that_decides_a_panel():
    a_run("a")
    scores = measured(0.7)
    scores["evaluations"][0]["bleu"] = 12.0
    a_run("b", task="translation", vocabulary="b" * 64, results={**scores, "best_by": ["bleu", "max"]})
    figure = kbs.plot_curves(["a", "b"])
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert shown == [
        *("pretraining: loss", "pretraining: accuracy", "pretraining: learning rate"),
        *("translation: loss", "translation: accuracy", "translation: bleu", "translation: learning rate"),
    ]
    assert lines_of(figure.axes[6]) == {("--", "s"): ([20], [12.0])}


def test_the_picture_says_what_cannot_be_compared():
    a_run("a")
    a_run("b", vocabulary="b" * 64)
    told = " ".join(kbs.plot_curves(["a", "b"])._suptitle.get_text().split())
    assert "the vocabularies differ, so losses and accuracies cannot be compared" in told


def test_undefined_numbers_are_gaps_and_missing_ones_no_points():
    a_run("run", [(20, 1.0, 0.1, "nan", "nan", 1), (40, 2.0, 0.1, "", 8.0, 2)])
    loss, accuracy, _ = kbs.plot_curves("run").axes
    assert list(loss.lines[0].get_ydata()) == pytest.approx([math.nan, 8.0], nan_ok=True)
    assert loss.lines[0].get_xdata().tolist() == [20, 40]
    assert accuracy.lines[0].get_xdata().tolist() == [20]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"by": "days"}, "`by`: 'days' is unknown; choose one of steps, tokens, time"),
        (
            {"metrics": ["bleu"]},
            "`metrics`: no run has 'bleu'; the runs have accuracy, learning_rate, loss",
        ),
    ],
)
def test_what_is_not_there_is_refused(arguments, said):
    a_run("run")
    with pytest.raises(kbs.UserError, match=said):
        kbs.plot_curves("run", **arguments)


def test_a_log_of_bookkeeping_alone_is_refused():
    a_run("run")
    Path("run/metrics.csv").write_text("step,seconds\n20,1\n")
    with pytest.raises(kbs.UserError, match=r"run/metrics\.csv: has no loss, score or learning rate to plot"):
        kbs.plot_curves("run")


def test_a_log_without_tokens_is_refused_by_tokens_alone():
    a_run("run", [(20, 1.0, 0.1, 0.1, 8.0, "")])
    assert kbs.plot_curves("run").axes
    with pytest.raises(kbs.UserError, match=r"`by`: run/metrics\.csv has no tokens; choose another of steps"):
        kbs.plot_curves("run", by="tokens")
