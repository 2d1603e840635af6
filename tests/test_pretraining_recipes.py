import inspect
import json
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.config import PRESET_NAMES
from keras_bert_scratch.data.pretraining.reader import BERT_RULES
from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.training import pretraining, resumable
from keras_bert_scratch.training.pretraining import SecondPhase

RECIPES = Path(__file__).parents[1] / "recipes"
README = (RECIPES / "README.md").read_text()
DOCSTRING = runpy.run_path(str(RECIPES / "pretraining.py"))["__doc__"]


@pytest.fixture(autouse=True)
def recipes_folder(monkeypatch):
    """As when Python runs a script: its folder is on the import path."""
    monkeypatch.syspath_prepend(RECIPES)


@pytest.fixture
def costs():
    return runpy.run_path(str(RECIPES / "costs.py"))


@pytest.fixture
def eagerly():
    """A few steps take less time than compiling a graph."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def run(monkeypatch, *arguments):
    """Runs `recipes/pretraining.py` as a command; returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["pretraining.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(RECIPES / "pretraining.py"), run_name="__main__")
    return ended.value.code


def asked(monkeypatch, *arguments):
    """The arguments with which the recipe calls `pretrain`, by name."""
    seen = {}

    def note(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        seen.update(bound.arguments)
        raise Stopped("that was all")

    signature = inspect.signature(pretraining.pretrain)
    with monkeypatch.context() as patch:
        patch.setattr(pretraining, "pretrain", note)
        assert run(patch, *arguments) == 0
    return seen


@pytest.mark.parametrize("preset", PRESET_NAMES)
def test_every_size_is_trained_as_published(monkeypatch, records, preset):
    seen = asked(monkeypatch, preset, records, "out")
    assert seen["init"] == kbs.BertConfig.preset(preset, vocab_size=seen["records"].vocab_size)
    assert (seen["init"].hidden_dropout, seen["init"].attention_dropout) == (0.1, 0.1)
    assert (seen["batch_size"], seen["max_length"], seen["second_phase"]) == (256, 128, SecondPhase(512, 0.1, None))
    training = seen["training"]
    assert (training.steps, training.seconds, training.learning_rate) == (1_000_000, None, 1e-4)
    assert training.steps * training.warmup == 10_000
    optimizer = training.optimizer_at(training.learning_rate)
    assert type(optimizer) is kbs.BertAdamW
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.decay_rate) == (0.9, 0.999, 0.01)
    assert seen["rules"] == BERT_RULES
    assert seen["out"] == Path("out")


@pytest.mark.parametrize(
    ("options", "steps", "seconds", "batch", "accumulate"),
    [
        ("", 1_000_000, None, 256, 1),
        ("--steps 1000", 1000, None, 256, 1),
        ("--budget 2h", None, 7200, 256, 1),
        ("--budget=2h --batch 64", None, 7200, 64, 1),
        ("--batch 64 --accumulate 4", 1_000_000, None, 64, 4),
    ],
)
def test_options_replace_those_of_the_recipe(monkeypatch, records, options, steps, seconds, batch, accumulate):
    seen = asked(monkeypatch, "bert-tiny", records, "out", *options.split())
    assert (seen["training"].steps, seen["training"].seconds) == (steps, seconds)
    assert (seen["batch_size"], seen["options"].accumulate) == (batch, accumulate)
    assert seen["training"].warmup == 0.01


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        (["bert-hug", "{records}", "out"], "error: --preset: 'bert-hug' is unknown"),
        (["bert-tiny", "nowhere", "out"], "error: nowhere"),
        (["bert-tiny", "{records}", "out", "--stepps", "3"], "No such option: --stepps"),
    ],
)
def test_mistakes_end_in_one_line(monkeypatch, capsys, records, arguments, saying):
    assert run(monkeypatch, *(word.format(records=records) for word in arguments)) == 2
    assert saying in capsys.readouterr().err
    assert not Path("out").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Even though the:UserWarning")
def test_a_small_run_through_both_legs_and_again(monkeypatch, capsys, records, eagerly):
    small = ["--steps", "5", "--batch", "4", "--length", "16", "--second-length", "32"]
    assert run(monkeypatch, "bert-tiny", records, "out", *small) == 0
    assert "finished: out" in capsys.readouterr().out
    assert json.loads(Path("out/run.json").read_text())["results"]["steps"] == 5
    assert kbs.BertPretrainer.from_pretrained("out").backbone.config.hidden_size == 128
    weights = Path("out/model.weights.h5").stat().st_mtime_ns
    assert run(monkeypatch, "bert-tiny", records, "out", *small) == 0
    assert Path("out/model.weights.h5").stat().st_mtime_ns == weights


def test_the_cost_is_what_the_run_itself_counts(monkeypatch, records, costs):
    phases = []

    def note(model, given, *_):
        phases.extend(given)
        raise Stopped("that was all")

    monkeypatch.setattr(resumable, "train", note)
    assert run(monkeypatch, "bert-tiny", records, "out") == 0
    first, second = phases
    config = kbs.BertConfig.preset("bert-tiny", vocab_size=kbs.PretrainingRecords(records).vocab_size)
    counted = 1_000_000 * (first.until * first.flops + (second.until - first.until) * second.flops)
    assert costs["training_flops"](config) == pytest.approx(counted)


@pytest.mark.parametrize("preset", ["bert-base", "bert-large"])
def test_the_cost_is_near_the_usual_estimate(costs, preset):
    """Six operations per encoder weight and token; heads and attention add to it."""
    config = kbs.BertConfig.preset(preset)
    tokens = 256 * (900_000 * 128 + 100_000 * 512)
    estimate = 6 * 12 * config.num_layers * config.hidden_size**2 * tokens
    assert 1.0 < costs["training_flops"](config) / estimate < 1.1


def test_hours_of_a_machine(costs, capsys):
    assert costs["hours"](3600e12, 0.5) == 2.0
    costs["main"](sustained=50.0)
    printed = capsys.readouterr().out
    assert "hours at 50 TFLOP/s" in printed
    assert "| 79.20 | 440.0 |" in printed


def test_the_readme_has_the_table_that_is_computed(costs):
    table = costs["table"]()
    assert table in README
    listed = re.findall(r"`(bert-[\w-]+)`", table)
    assert sorted(listed) == sorted(PRESET_NAMES)


def test_the_readme_has_the_command_that_runs(monkeypatch, capsys, records):
    [called] = re.findall(r"^python recipes/pretraining.py (.+)$", README, re.MULTILINE)
    words = shlex.split(called)
    asked(monkeypatch, *(str(records) if word == "wikipedia/records" else word for word in words))
    shown = capsys.readouterr().out.splitlines()[0]
    assert shown.replace(str(records), "wikipedia/records") in README.splitlines()


def test_the_docstring_has_the_figures_of_the_table(costs):
    rows = re.findall(r"^    (bert-\w+) +([\d.]+) EFLOPs +([\d.]+) hours +([\d.]+)$", DOCSTRING, re.MULTILINE)
    assert [row[0] for row in rows] == list(costs["PUBLISHED"])
    table = costs["table"]().splitlines()
    for preset, operations, hours, accuracy in rows:
        [cells] = [line.split(" | ") for line in table if f"`{preset}`" in line]
        assert [operations, hours, accuracy] == [cells[3], cells[4], cells[6].rstrip(" |")]
