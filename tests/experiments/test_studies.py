"""Each study at a smoke size, what its docstring says, and the page of results."""

import dataclasses
import importlib
import json
import re
import runpy
import sys
from pathlib import Path

import keras
import pytest
from experiments.conftest import EXPERIMENTS, STUDIES

import keras_bert_scratch as kbs


def run(monkeypatch, name, *arguments):
    """Runs a script as a command; it must end without an error code."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(EXPERIMENTS / f"{name}.py"), run_name="__main__")
    assert not ended.value.code


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_and_goes_on(name, monkeypatch, task_files, capsys):
    more = ("--steps", "2,4") if name == "when_it_pays" else ()
    asked = (name, "out", "--scale", "smoke", "--seeds", "1", "--tasks", task_files, *more)
    run(monkeypatch, *asked)
    table = capsys.readouterr().out.partition("\n\n| ")[2]
    measured = json.loads(Path("out/measured.json").read_text())
    assert all(f"| {row} |" in table for row in measured["rows"])
    monkeypatch.setattr(kbs, "pretrain", None)
    monkeypatch.setattr(keras.Model, "fit", None)
    run(monkeypatch, *asked)  # everything is measured already
    again = capsys.readouterr().out
    assert "== " not in again
    assert again.endswith(table)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_says_what_it_claims(name):
    text = runpy.run_path(str(EXPERIMENTS / f"{name}.py"))["__doc__"]
    assert f"python experiments/{name}.py OUT" in text
    assert re.search("^Claim: ", text, re.MULTILINE)
    assert re.search("^Cost", text, re.MULTILINE)
    measured = (EXPERIMENTS / "results" / f"{name}.json").exists()
    assert bool(re.search("^Expected", text, re.MULTILINE)) == measured


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_scales_fit_each_other(scale):
    sizes = importlib.import_module("scales").scale_of(scale)
    config = kbs.BertConfig.preset(sizes.preset)
    config.check_length(max(sizes.length, sizes.second_length, sizes.window))


def test_an_unknown_scale_is_refused():
    with pytest.raises(kbs.UserError, match="`scale`: 'large' is unknown; choose one of smoke, laptop, paper"):
        importlib.import_module("scales").scale_of("large")


def test_the_tables_of_results_are_what_was_measured():
    report = importlib.import_module("report")
    page = report.PAGE.read_text(encoding="utf-8")
    assert {name for _, name, _ in report.TABLE.findall(page)} == set(STUDIES)
    assert {file.stem for file in report.RESULTS.glob("*.json")} <= set(STUDIES)
    assert report.with_tables(page) == page


@pytest.mark.parametrize("file", sorted((EXPERIMENTS / "results").glob("*.json")), ids=lambda file: file.stem)
def test_what_was_measured_can_be_continued(file):
    """The stored sizes have the same names as those of a scale now."""
    scale = importlib.import_module("scales").Scale
    sizes = json.loads(file.read_text())["settings"]["sizes"]
    assert sizes.keys() == {field.name for field in dataclasses.fields(scale)}
