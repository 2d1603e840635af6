"""The demo at a small size, and every `--help` example in the folder that the demo leaves."""

import contextlib
import importlib
import json
import re
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import demo, demo_report
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.training import pretraining
from keras_bert_scratch.training.run_directory import read_run

VERBS = ("vocab", "tfrecords", "pretrain", "finetune", "evaluate", "predict", "export", "convert", "inspect")
# The example of the help, with the shortest time that still shows every part.
SHORT = demo.EXAMPLE.replace("--minutes 1", "--minutes 0.2")


@contextlib.contextmanager
def in_small(folder: Path):
    """Runs the demo in `folder`: small vocabulary, random instead of trained weights, `predict` in this process.

    The last test of this file, in `make slow`, has the trained weights and a process of its own.
    """

    def run_here(argv: list[str], **options) -> SimpleNamespace:
        done = CliRunner().invoke(app, argv[argv.index("predict") :])
        return SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(demo, "REAL_WEIGHTS", folder / "stand_in")
        patch.setattr(demo, "VOCAB_SIZE", 500)
        patch.setattr(demo, "subprocess", SimpleNamespace(run=run_here))
        yield


@pytest.fixture(scope="module")
def world(tmp_path_factory, vocabulary, small, eager_functions) -> Path:
    """An empty folder in which the example of `keras-bert demo --help` has run, shortened."""
    folder = tmp_path_factory.mktemp("world")
    kbs.BertBackbone(small).save_pretrained(folder / "stand_in", kbs.BertTokenizer(vocabulary))
    with in_small(folder), eager_functions():
        done = CliRunner().invoke(app, shlex.split(SHORT)[1:])
    assert done.exit_code == 0, done.output
    (folder / "shown.txt").write_text(done.stdout)
    return folder


@pytest.mark.slow
def test_the_demo_ends_with_its_tables(world):
    shown = (world / "shown.txt").read_text()
    scores = json.loads((world / "demo" / "demo.json").read_text())["scores"]
    for row, accuracy in (
        ("BERT from random weights", statistics.mean(scores["order_from_random"]["accuracies"])),
        ("BERT from the pretrained", statistics.mean(scores["order_from_pretrained"]["accuracies"])),
        ("majority class", scores["order_from_random"]["majority"]),
        ("bag of words", scores["order_bag_of_words"]),
        ("bag of words", scores["sentiment_bag_of_words"]),
        ("published pretrained weights", read_run(world / "demo" / "sentiment")["results"]["dev"]["accuracy"]),
    ):
        assert re.search(rf"{row}[^\n]*{accuracy:.1%}", shown), row
    for row in ("masked words: loss", "masked words: accuracy", "next sentence: accuracy", "It was a waste"):
        assert row in shown


@pytest.mark.slow
def test_the_starts_differ_in_nothing_else(world):
    runs = [read_run(world / "demo" / f"order_from_{start}" / "seed-1") for start in ("random", "pretrained")]
    settings = [{**run["settings"], "start": None} for run in runs]
    assert settings[0] == settings[1]
    folders = ("pretrained", "order_from_random/seed-1", "order_from_pretrained/seed-1")
    configs = [json.loads((world / "demo" / folder / "config.json").read_text()) for folder in folders]
    assert {config["config"]["initializer_range"] for config in configs} == {0.06}
    assert not any(run["settings"].get("dev") for run in runs)  # nothing is selected on the held-out sentences


@pytest.mark.parametrize(
    ("random", "tuned", "helps"),
    [
        ([0.50, 0.51, 0.49], [0.60, 0.61, 0.59], True),
        ([0.50, 0.51, 0.49], [0.52, 0.53, 0.51], False),  # ahead, but within two standard errors of 2,000 sentences
        ([0.60, 0.61, 0.59], [0.50, 0.51, 0.49], False),
        ([0.40, 0.50, 0.60], [0.45, 0.55, 0.65], False),  # seeds differ more than the two starts
    ],
)
def test_the_verdict_is_by_two_standard_errors(random, tuned, helps):
    verdict = demo_report.verdict(random, tuned, 2000, 10.0)
    assert verdict.startswith("Pretraining helps: " if helps else "10 minutes do not show")
    assert f"{100 * (statistics.mean(tuned) - statistics.mean(random)):+.1f} points" in verdict


@pytest.mark.slow
def test_the_demo_leaves_what_it_names(world):
    folder = world / "demo"
    for name in ("vocab.txt", "records/manifest.json", "pretrained/model.weights.h5", "saved_model/saved_model.pb"):
        assert (folder / name).exists()
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list(folder.glob("pretrained/tensorboard/events*"))
    commands = [line for line in (world / "shown.txt").read_text().splitlines() if line.startswith("$ keras-bert ")]
    verbs = {"vocab", "tfrecords", "pretrain", "finetune", "evaluate", "export", "predict"}
    assert {line.split()[2] for line in commands} == verbs


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_finished_demo_shows_its_table_again(world):
    with in_small(world):
        again = CliRunner().invoke(app, shlex.split(SHORT)[1:])
        other = CliRunner().invoke(app, ["demo", "--minutes", "5"])
    assert again.exit_code == 0, again.output
    assert "BERT from the pretrained" in again.output
    assert other.exit_code == 2
    assert "continue it with --minutes 0.2" in other.output


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_the_example_of_the_help_runs_as_printed(world, verb, monkeypatch, eager_functions):
    monkeypatch.chdir(world)
    example = importlib.import_module(f"keras_bert_scratch.commands.{verb}").EXAMPLE
    shown = CliRunner().invoke(app, [verb, "--help"]).output
    assert shown.strip().splitlines()[-1].strip() == example
    # Only fifty pretraining steps, with this many tokens, are worth compiling a graph.
    with contextlib.nullcontext() if verb == "pretrain" else eager_functions():
        done = CliRunner().invoke(app, shlex.split(example)[1:])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip()


def test_a_demo_that_is_terminated_in_a_verb_ends_there(records, monkeypatch):
    def stopped(*args, **kwargs):
        raise Stopped("run: stopped at step 5; the same command resumes from there")

    monkeypatch.setattr(pretraining, "pretrain", stopped)
    stages = demo._Demonstration(Path("demo"), 1.0)
    with pytest.raises(typer.Exit) as ended:
        stages._verb("pretraining", f"pretrain {records} --preset bert-tiny --steps 9 --out run")
    assert ended.value.exit_code == 0


@pytest.mark.slow
def test_weights_that_others_trained_tell_sentiment(fresh_folder):
    """In a process of its own, with 5 minutes: the example's single minute allows 300 labels, which are too few."""
    command = shlex.split(demo.EXAMPLE.replace("--minutes 1", "--minutes 5"))[1:]
    done = subprocess.run([sys.executable, "-m", "keras_bert_scratch", *command], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "BERT from published pretrained weights" in done.stdout.decode()
    trained = read_run("demo/sentiment")["results"]["dev"]
    assert trained["accuracy"] > trained["majority"] + 0.15
