"""`python -m benchmarks.cases`: no case is wrong, and a wrong case would be reported."""

import subprocess
import sys
from pathlib import Path

import pytest

import keras_bert_scratch as kbs

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def from_root(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.mark.parametrize(
    ("module", "words"),
    [("tables", "rows of tables"), ("labels", "columns in memory"), ("settings", "odd configs"), ("paths", "values")],
)
def test_none_of_the_quick_cases_is_wrong(module, words):
    from benchmarks.cases.groups import judged

    found = judged(module, [words])
    assert len(found) > 5
    assert [verdict for verdict in found if verdict[2].word not in ("right", "clear")] == []


@pytest.mark.slow
def test_no_case_is_wrong():
    run = subprocess.run([sys.executable, "-m", "benchmarks.cases"], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, [line for line in run.stdout.splitlines() if line.startswith("wrong")] or run.stderr
    assert run.stdout.count("\n") > 250


def refuse(message):
    raise kbs.UserError(message)


@pytest.mark.parametrize(
    ("run", "says", "word"),
    [
        (lambda: "fine", (), "right"),
        (lambda: refuse("t.csv: line 2 is bad"), ("t.csv", "line 2"), "clear"),
        (lambda: refuse("t.csv: is bad"), ("t.csv", "line 2"), "wrong"),
        (lambda: refuse("t.csv: is bad,\nvery bad"), ("t.csv",), "wrong"),
        (lambda: refuse("t.csv: is bad"), (), "wrong"),
        (lambda: "fine", ("t.csv",), "wrong"),
        (lambda: [][0], (), "wrong"),
        (lambda: [][0], ("list",), "wrong"),
    ],
)
def test_a_case_is_judged(run, says, word):
    from benchmarks.cases.case import Case, judge

    assert judge(Case("3 tables", "a table", run, says)).word == word
