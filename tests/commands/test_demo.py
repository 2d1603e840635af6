"""The demo in small, and every `--help` example beside what it left."""

import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from keras_bert_scratch.commands import demo
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.training import pretraining

# All tests of this file in one worker: each would make a demo of its own.
pytestmark = pytest.mark.xdist_group("demo")

VERBS = ("vocab", "tfrecords", "pretrain", "finetune", "evaluate", "predict", "export", "convert", "inspect")
# The example of the help, with the least time that shows all of it.
SHORT = demo.EXAMPLE.replace("--minutes 1", "--minutes 0.2")
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """An empty folder in which the example of `keras-bert demo --help` has run, shortened."""
    folder = tmp_path_factory.mktemp("world")
    done = run(shlex.split(SHORT), folder)
    assert done.returncode == 0, done.stderr
    (folder / "shown.txt").write_text(done.stdout)
    return folder


def test_the_demo_ends_with_its_table(world):
    shown = (world / "shown.txt").read_text()
    for row in (
        "masked words: loss",
        "masked words: right",
        "next sentence: right",
        "always the majority",
        "fine-tuned from random weights",
        "fine-tuned from the pretrained",
    ):
        assert row in shown
    runs = {name: json.loads((world / "demo" / name / "run.json").read_text()) for name in ("sentiment", "from_random")}
    assert f"{runs['sentiment']['results']['dev']['accuracy']:.1%}" in shown
    same = [{name: value for name, value in run["settings"].items() if name != "start"} for run in runs.values()]
    assert same[0] == same[1]  # the comparison has the same labels, steps, rate and seed


def test_the_demo_leaves_what_it_names(world):
    folder = world / "demo"
    for name in ("vocab.txt", "records/manifest.json", "pretrained/model.weights.h5", "saved_model/saved_model.pb"):
        assert (folder / name).exists()
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(folder.glob("pretrained/tensorboard/events*"))
    commands = [line for line in (world / "shown.txt").read_text().splitlines() if line.startswith("$ keras-bert ")]
    assert {line.split()[2] for line in commands} == {"vocab", "tfrecords", "pretrain", "finetune", "export", "predict"}


def test_a_finished_demo_shows_its_table_again(world, monkeypatch):
    monkeypatch.chdir(world)
    again = CliRunner().invoke(app, shlex.split(SHORT)[1:])
    assert again.exit_code == 0, again.output
    assert "fine-tuned from the pretrained" in again.output
    other = CliRunner().invoke(app, ["demo", "--minutes", "5"])
    assert other.exit_code == 2
    assert "continue it with --minutes 0.2" in other.output


@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_the_help_runs_as_printed(world, verb, monkeypatch):
    monkeypatch.chdir(world)
    example = importlib.import_module(f"keras_bert_scratch.commands.{verb}").EXAMPLE
    shown = CliRunner().invoke(app, [verb, "--help"]).output
    assert shown.strip().splitlines()[-1].strip() == example
    done = CliRunner().invoke(app, shlex.split(example)[1:])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()


def test_a_demo_that_is_terminated_in_a_verb_ends_there(records, monkeypatch):
    def stopped(*args, **kwargs):
        raise Stopped("run: stopped at step 5; the same command goes on from there")

    monkeypatch.setattr(pretraining, "pretrain", stopped)
    stages = demo._Demonstration(Path("demo"), 1.0)
    with pytest.raises(typer.Exit) as ended:
        stages._verb("pretraining", f"pretrain {records} --preset bert-tiny --steps 9 --out run")
    assert ended.value.exit_code == 0
