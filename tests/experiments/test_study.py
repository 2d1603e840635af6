"""The table of a study: means, deviations, claims judged by a paired test, and what is stored."""

import json
from pathlib import Path

import pytest
from scipy import stats

import keras_bert_scratch as kbs


def made(study, claims=(), **settings):
    columns = {"right": study.Column("right"), "loss": study.Column("loss", ".2f", "low")}
    return study.Study(Path("out"), "A study", settings, columns, list(claims))


def test_a_table_has_means_and_deviations(study):
    asked = made(study)
    for seed, (right, loss) in enumerate([(0.5, 2.0), (0.6, 2.5), (0.7, 3.0)]):
        asked.measure("one", seed, lambda right=right, loss=loss: {"right": right, "loss": loss})
        asked.measure("some", seed, lambda right=right, seed=seed: {"right": right, "loss": 1.0 if seed else None})
    asked.measure("once", 0, lambda: {"right": 0.25, "loss": None})
    lines = asked.report().split("\n")
    assert lines[0] == "| 3 seeds | right | loss |"
    assert lines[2:] == [
        "| one | 60.0% ± 10.0 | 2.50 ± 0.50 |",
        "| some | 60.0% ± 10.0 | 1.00 ± 0.00 (2 of 3) |",
        "| once (1 seed) | 25.0% |  |",
    ]


@pytest.mark.parametrize(
    ("metric", "better", "worse", "outcome"),
    [
        ("right", [0.7, 0.71, 0.72], [0.5, 0.52, 0.51], "shown"),
        ("right", [0.5, 0.52, 0.51], [0.7, 0.71, 0.72], "**contradicted**"),
        ("right", [0.5, 0.7, 0.6], [0.6, 0.5, 0.6], "not shown"),
        ("loss", [2.0, 2.1, 2.0], [3.0, 3.1, 3.1], "shown"),
        ("loss", [3.0, 3.1, 3.1], [2.0, 2.1, 2.0], "**contradicted**"),
        ("loss", [float("nan"), 2.1, 2.0], [3.0, 3.1, 3.1], "not shown"),
    ],
)
def test_a_claim_is_judged_by_a_paired_test(study, metric, better, worse, outcome):
    asked = made(study, [study.Claim("a", "b", metric, "a is better")])
    for seed in range(3):
        for row, values in (("a", better), ("b", worse)):
            asked.measure(row, seed, lambda value=values[seed]: {metric: value})
    test = stats.ttest_rel(better, worse)
    low, high = test.confidence_interval()
    scale, places, unit = (100, 1, " points") if metric == "right" else (1, 2, "")
    difference = f"{scale * (low + high) / 2:+.{places}f} ± {scale * (high - low) / 2:.{places}f}{unit}"
    assert asked.report().split("\n")[-1] == f"| a is better | {difference} | {outcome} |"
    assert (test.pvalue < 0.05) == (outcome != "not shown")


def test_equal_differences_show_nothing(study):
    asked = made(study, [study.Claim("a", "b", "right", "a is better")])
    for seed in range(2):
        for row, value in (("a", 0.75), ("b", 0.5)):
            asked.measure(row, seed, lambda value=value: {"right": value})
    assert asked.report().split("\n")[-1] == "| a is better | +25.0 ± 0.0 points | not shown |"


def test_a_claim_needs_two_seeds_of_both_rows(study):
    asked = made(study, [study.Claim("a", "b", "right", "a is better")])
    for seed in range(2):
        asked.measure("a", seed, lambda: {"right": 0.5})
    asked.measure("b", 0, lambda: {"right": 0.5})
    assert asked.report().endswith("| a is better | | not measured with two seeds |")


def test_what_is_measured_is_kept(study):
    made(study, size=1).measure("one", 0, lambda: {"right": 0.5, "loss": 1.0})

    def never():
        raise AssertionError("it was measured already")

    again = made(study, size=1)
    again.measure("one", 0, never)
    assert "| one | 50.0% | 1.00 |" in again.report()
    with pytest.raises(kbs.UserError, match=r"out: contains a study with \{'size': 1\}; give the same"):
        made(study, size=2)


def test_a_study_goes_on_elsewhere_and_says_so(study, monkeypatch):
    for seed, place in enumerate(("here", "here", "there")):
        monkeypatch.setattr(study, "machine", lambda place=place: place)
        made(study).measure("one", seed, lambda: {"right": 0.5, "loss": 1.0})
    claim = study.Claim("one", "two", "right", "one is better")
    made(study, [claim])  # measures nothing, but adds a claim
    kept = json.loads(Path("out", study.FILE).read_text())
    assert (kept["machine"], len(kept["rows"]["one"])) == ("here; there", 3)
    assert [one["text"] for one in kept["claims"]] == ["one is better"]


def test_processes_share_a_study_by_its_seeds(study, capsys):
    """Each `Study` holds its own locks, as each process does."""
    one, other = made(study), made(study)
    seeds = one.seeds(2)
    assert next(seeds) == 0
    assert list(other.seeds(2)) == [1]
    assert "seed 0: is being measured by another process" in capsys.readouterr().out
    other.measure("one", 1, lambda: {"right": 0.5, "loss": 1.0})
    one.measure("one", 0, lambda: {"right": 0.7, "loss": 1.0})
    assert "| one | 60.0% ± 14.1 |" in one.report()
    seeds.close()  # the end of its process does the same
    assert list(other.seeds(2)) == [0, 1]
