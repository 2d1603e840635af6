"""Each study at a smoke size, what its docstring says, and the page of results."""

import contextlib
import dataclasses
import importlib
import inspect
import json
import re
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest
from experiments.conftest import EXPERIMENTS, STUDIES

import keras_bert_scratch as kbs
from keras_bert_scratch.training.pretraining import pretrain
from keras_bert_scratch.training.pretraining_evaluation import check_sizes


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


class ReachedError(Exception):
    """Ends a row at its pretraining."""


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "features"])  # which pretrains nothing
def test_at_the_papers_scale_the_settings_of_pretraining_fit_together(name, monkeypatch, text, task_files):
    """Of each row's pretraining, up to the call that would start it."""
    calls, lengths = [], []

    def reached(*arguments):
        calls.append(inspect.signature(pretrain).bind(*arguments).arguments)
        is_first_of_two = "second_phase" not in calls[-1] and isinstance(calls[-1]["init"], kbs.BertConfig)
        if not is_first_of_two:
            raise ReachedError
        return SimpleNamespace(path=calls[-1]["out"])

    def measure(study, row, seed, run):
        study.content["rows"][row] = {str(seed): {"loss": 1.0, "right": 0.1}}
        if not row.startswith("counted"):  # these count millions of tokens
            with contextlib.suppress(ReachedError):
                run()

    monkeypatch.setattr(kbs, "pretrain", reached)
    for function in ("finetune", "distill", "evaluate"):
        monkeypatch.setattr(kbs, function, lambda *arguments, **options: {"accuracy": 0.5})
    monkeypatch.setattr(importlib.import_module("study").Study, "measure", measure)
    monkeypatch.setattr(importlib.import_module("study").Study, "report", lambda study: "")
    tasks = {"tasks": task_files} if name == "students" else {}
    importlib.import_module(name).main(Path("out"), seeds=1, scale="paper", text=text, **tasks)

    for call in calls:
        if isinstance(call["init"], kbs.BertConfig):
            config = call["init"]  # also of a second run, which starts from the first one's model
        phases = [call["second_phase"]] if "second_phase" in call else []
        for length in (call["max_length"], *(phase.max_length for phase in phases)):
            for records in (call["records"], call["held_out"]):
                check_sizes(config, records, length, call["rules"])
            lengths.append(length)
    assert set(lengths) == {128, 512}


def test_an_unknown_scale_is_refused():
    with pytest.raises(kbs.UserError, match="`scale`: 'large' is unknown; choose one of smoke, laptop, paper"):
        importlib.import_module("scales").scale_of("large")


def test_the_tables_of_results_are_what_was_measured():
    report = importlib.import_module("report")
    page = report.PAGE.read_text(encoding="utf-8")
    assert {name for _, name, _ in report.TABLE.findall(page)} == set(STUDIES)
    assert {file.stem for file in report.RESULTS.glob("*.json")} <= set(STUDIES)
    assert report.with_tables(page) == page


def test_a_study_that_shows_nothing_is_not_reported(monkeypatch, tmp_path):
    report = importlib.import_module("report")
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(report, "PAGE", tmp_path / "RESULTS.md")
    report.PAGE.write_text("<!-- masking -->\nold\n<!-- end -->")
    for folder, scale in (("laptop/size", "laptop"), ("smoke/masking", "smoke")):
        Path(folder).mkdir(parents=True)
        Path(folder, report.FILE).write_text(json.dumps({"settings": {"scale": scale}}))
    with pytest.raises(kbs.UserError, match=r"^smoke/masking: was measured at the scale smoke, which shows nothing; "):
        report.main([Path("laptop/size"), Path("smoke/masking")])
    assert not list(report.RESULTS.glob("*"))
    assert "old" in report.PAGE.read_text()
    report.main([Path("laptop/size")])
    assert [file.name for file in report.RESULTS.iterdir()] == ["size.json"]


@pytest.mark.parametrize("file", sorted((EXPERIMENTS / "results").glob("*.json")), ids=lambda file: file.stem)
def test_what_was_measured_can_be_continued(file):
    """The stored sizes have the same names as those of a scale now."""
    scale = importlib.import_module("scales").Scale
    sizes = json.loads(file.read_text())["settings"]["sizes"]
    assert sizes.keys() == {field.name for field in dataclasses.fields(scale)}
