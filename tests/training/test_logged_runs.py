"""Folders of runs: names, settings that differ, the best results, and damaged logs."""

import csv
import math
from pathlib import Path

import pytest
from training.logged import HEADING, a_run, measured

import keras_bert_scratch as kbs
from keras_bert_scratch.training.logged_runs import (
    comparison_warnings,
    differing_settings,
    read_logged_runs,
    short_names,
)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/run"], ["run"]),
        (["/a/run", "/b/run"], ["a", "b"]),
        (["/a/x/run", "/a/y/run/"], ["x", "y"]),
        (["/a/run", "/a/b/run"], ["run", "b/run"]),
        (["/a/s/seed-1", "/a/s/seed-2", "/a/t/seed-1"], ["s/seed-1", "s/seed-2", "t/seed-1"]),
        (["gs://bucket/a", "gs://bucket/b"], ["a", "b"]),
    ],
)
def test_names_are_the_shortest_that_tell_runs_apart(paths, names):
    assert short_names(paths) == names


def test_runs_are_found_below_seeds_and_searches_in_the_order_of_their_numbers():
    for name in ("seeds", "grid", "glue/CoLA"):
        Path(name).mkdir(parents=True)
    for name in ("seeds/seed-10", "seeds/seed-9", "grid/batch=16/seed-0", "glue/CoLA", "glue/CoLA/best"):
        a_run(name)
    found = read_logged_runs(["seeds", "grid", "glue", "seeds/seed-9"])
    assert [run.name for run in found] == ["seeds/seed-9", "seeds/seed-10", "grid/batch=16/seed-0", "glue/CoLA"]
    [only] = read_logged_runs({"first": "seeds/seed-9"})
    assert (only.name, only.task, only.status) == ("first", "pretraining", "unfinished")


def test_a_run_that_has_logged_nothing_is_left_out_of_many_and_refused_alone(caplog):
    a_run("seeds/seed-0")
    a_run("seeds/seed-1", rows=())
    Path("seeds/seed-1/metrics.csv").unlink()
    assert [run.path.name for run in read_logged_runs("seeds")] == ["seed-0"]
    assert caplog.messages == ["seeds/seed-1: skipped, it has no row in metrics.csv yet"]
    with pytest.raises(kbs.UserError, match=r"seed-1/metrics\.csv: has no row yet; a run writes one every 20 steps"):
        read_logged_runs("seeds/seed-1")


@pytest.fixture
def usual_field_size():
    """The limit of Python's csv, which other parts of this library raise."""
    before = csv.field_size_limit(131_072)
    yield
    csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"run/metrics\.csv: has no row yet"),
        (HEADING + "\n", r"run/metrics\.csv: has no row yet"),
        (f"{HEADING}\n20,1,1,1,1,1\n40,1,1\n", r"metrics\.csv: line 3 is damaged, it should have 6 numbers; remove it"),
        (f"{HEADING}\n20,1,1,1,some,1\n", r"metrics\.csv: line 2 is damaged"),
        ("loss\n9.0\n", r"metrics\.csv: line 2 is damaged"),
        ("step,loss\ninf,9.0\n", r"metrics\.csv: line 2 is damaged"),
        ("step,loss\n2.5,9.0\n", r"metrics\.csv: line 2 is damaged"),
        ("step,seconds\n20,1\n40,nan\n", r"metrics\.csv: line 3 is damaged"),
        (f"step,loss\n20,{'1' * 200_000}\n", r"metrics\.csv: line 2 is damaged"),
        (f"step,{'a' * 200_000}\n20,1\n", r"metrics\.csv: line 1 is damaged"),
        ("step,loss\n20,\ud800\n", r"metrics\.csv: line 2 is damaged"),
        ("step,loss,loss\n20,9.0,1.0\n", r"metrics\.csv: has two columns 'loss'; remove one of them"),
    ],
)
@pytest.mark.usefixtures("usual_field_size")
def test_a_damaged_log_is_refused_by_its_line(content, said):
    a_run("run")
    Path("run/metrics.csv").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(kbs.UserError, match=said):
        read_logged_runs("run")


@pytest.mark.parametrize(
    "results",
    [
        {"best_by": []},
        {"best_by": 5},
        {"evaluations": [{"loss": 9.0}]},
        {"evaluations": [{"step": math.inf, "loss": 9.0}]},
        {"evaluations": [{"step": None, "loss": 9.0}]},
        {"evaluations": [9.0]},
        {"evaluations": 9.0},
        {"held_out_before": [9.0]},
    ],
)
def test_damaged_results_are_refused(results):
    a_run("run", results=results)
    with pytest.raises(kbs.UserError, match=r"run/run\.json: its `evaluations` or `best_by` are damaged; restore it"):
        read_logged_runs("run")


def test_a_run_that_is_given_twice_is_read_once():
    a_run("seeds/seed-0")
    a_run("seeds/seed-1")
    Path("link").symlink_to("seeds/seed-1")
    found = read_logged_runs(["seeds/seed-1", "seeds", Path("seeds/seed-0").absolute(), "link"])
    assert [run.name for run in found] == ["seed-1", "seed-0"]
    assert len(read_logged_runs({"a": "seeds/seed-0", "b": "seeds/seed-0"})) == 2


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("none", "none: no such folder; check the path"),
        ("empty", "empty: is neither a run nor a folder of runs; give the `out` of a training"),
        ("file", "file: is not a folder; give the folder of a run"),
    ],
)
def test_what_is_no_run_is_refused(path, said):
    Path("empty").mkdir()
    Path("file").touch()
    with pytest.raises(kbs.UserError, match=said):
        read_logged_runs(path)


def test_the_best_is_the_lowest_loss_the_highest_score_and_never_undefined():
    results = measured(math.nan, 3.0, 2.5, 2.5)
    for entry, bleu in zip(results["evaluations"], (1.0, 7.0, None, 4.0), strict=True):
        entry["bleu"] = bleu
    before = {"held_out_before": {"loss": math.nan}, "best_by": ["bleu", "max"]}
    [run] = read_logged_runs(a_run("run", results=results | before))
    assert (run.best("loss"), run.best("bleu"), run.best("f1")) == ((60, 2.5), (40, 7.0), None)
    assert [step for step, _ in run.measured("loss")] == [0, 20, 40, 60, 80]
    assert run.best_by == "bleu"


def test_the_metric_that_decides_is_best_as_its_task_says():
    """Without it, a name such as `loss` says what is best."""
    entries = [{"step": 20, "mae": 0.9, "loss": 2.0}, {"step": 40, "mae": 0.1, "loss": 3.0}]
    for wanted, best in (("min", (40, 0.1)), ("max", (20, 0.9))):
        [run] = read_logged_runs(a_run(wanted, results={"evaluations": entries, "best_by": ["mae", wanted]}))
        assert (run.best("mae"), run.best("loss")) == (best, (20, 2.0))


def test_the_end_of_a_finished_run_is_a_point_where_it_was_measured():
    results = {"held_out_after": {"loss": 7.0}, "steps": 45}
    [run] = read_logged_runs(a_run("run", results=results, finished=True))
    assert (run.status, run.measured("loss")) == ("finished", [(45, 7.0)])


def test_the_settings_that_differ_are_told_in_short():
    a_run("a", start={"num_layers": 2}, records=["b" * 64, "c" * 64], seed=0)
    a_run("b", start={"num_layers": 4}, records=["b" * 64, "d" * 64], seed=0)
    a_run("c", start="bert", records=["b" * 64, "c" * 64], training={"steps": 40, "learning_rate": 0.00025})
    both = differing_settings(read_logged_runs(["a", "b"]))
    assert list(both) == ["start.num_layers", "records"]
    assert both["start.num_layers"] == ["2", "4"]
    assert all(len(told) == 6 for told in both["records"])
    pretrained = differing_settings(read_logged_runs(["b", "c"]))
    assert pretrained["start"] == ["random weights", "bert"]
    assert pretrained["training.learning_rate"] == ["0.0001", "0.00025"]
    assert pretrained["seed"] == ["0", "-"]
    assert "start.num_layers" not in pretrained


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ({}, {"seed": 1}, []),
        ({}, {"vocabulary": "b" * 64}, ["pretraining: the vocabularies differ"]),
        ({"task": "ner"}, {"task": "ner", "vocabulary": "b" * 64}, []),
        (
            {"rows": [(20, 1, 0.1, 0.5, "nan", 1)]},
            {"rows": [(20, 1, 0.1, 0.5, "nan", 1), (40, 2, 0.1, 0.5, 9.0, 2)]},
            ["pretraining: loss is never a finite number in a, so it has no line"],
        ),
        ({"held_out": ["a" * 64]}, {"held_out": ["b" * 64]}, ["pretraining: the held-out data differ"]),
        ({"held_out": ["a" * 64]}, {"held_out": None}, []),
        ({"task": "ner", "dev": "a" * 64}, {"task": "ner", "dev": "b" * 64}, ["ner: the held-out data differ"]),
        (
            {"rules": {"masking": {"fraction": 0.15}, "packing": True}},
            {"rules": {"masking": {"fraction": 0.4}, "packing": False}},
            [r"pretraining: the objectives differ (rules.masking.fraction), so"],
        ),
    ],
)
def test_what_cannot_be_compared_is_said(first, second, said):
    a_run("a", **first)
    a_run("b", **second)
    found = comparison_warnings(read_logged_runs(["a", "b"]))
    assert len(found) == len(said)
    assert all(line.startswith(start) for line, start in zip(found, said, strict=True))
