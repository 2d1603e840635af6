"""Fine-tuning: what holds for every task, tested on classification."""

import csv
import dataclasses
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tasks.conftest import QUICK, run_file, tuned

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.repetition import spread
from keras_bert_scratch.tasks.run import FineTuning, finetune
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.training import resumable
from keras_bert_scratch.training.callbacks import CheckpointSaver
from keras_bert_scratch.training.evaluation import PeriodicEvaluation
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.train_function import TrainFunction
from keras_bert_scratch.training.training_state import steps_taken


def test_fine_tuning_learns_the_task(finished, animals):
    results = kbs.evaluate(finished, animals)
    assert results["accuracy"] > 0.95
    assert (results["majority"], results["examples"]) == (0.5, len(animals["text"]))


@pytest.mark.usefixtures("eagerly")
def test_the_picture_of_a_run_in_the_current_folder_has_its_name(small, tokenizer, few, monkeypatch):
    drawn = []
    monkeypatch.setattr(resumable, "plot_curves", lambda runs, picture: drawn.append((runs, picture)))
    monkeypatch.setattr(resumable, "train", lambda *_: 1)
    Path("my-run").mkdir()
    monkeypatch.chdir("my-run")
    kbs.finetune("classification", small, few, ".", how=FineTuning(**QUICK), tokenizer=tokenizer)
    assert drawn == [({"my-run": Path()}, Path("curves.png"))]


def test_evaluation_gives_what_the_run_says(finished, animals):
    assert kbs.evaluate(finished, animals) == run_file(finished)["results"]["dev"]


def test_the_folder_holds_all_it_takes(finished):
    names = {entry.name for entry in finished.iterdir()}
    assert {"config.json", "task.json", "vocab.txt", "model.weights.h5", "run.json", "metrics.csv", "best"} <= names


@pytest.mark.usefixtures("eagerly")
def test_the_epochs_are_measured_and_the_best_is_kept(small, tokenizer, few, monkeypatch):
    """Of three epochs the second is the best: the run keeps its weights. The patience is not used up."""
    accuracies = iter([0.5, 0.9, 0.7])
    weights = []

    def measured(self, examples):
        weights.append([np.array(weight) for weight in self.model.trainable_weights])
        return {"accuracy": next(accuracies), "loss": 1.0}

    monkeypatch.setattr(FineTuned, "evaluate", measured)
    run = tuned(small, tokenizer, few, dev=few, epochs=3, patience=5)
    assert [entry["accuracy"] for entry in run.results["evaluations"]] == [0.5, 0.9, 0.7]
    assert [entry["step"] for entry in run.results["evaluations"]] == [2, 4, 6]
    assert run.results["dev"] == {"accuracy": 0.9, "loss": 1.0}
    saved = FineTuned.load(run.path).model
    for kept, second, third in zip(saved.trainable_weights, *weights[1:], strict=True):
        np.testing.assert_array_equal(np.array(kept), second)
        assert not np.array_equal(second, third) or np.all(second == 0)


@pytest.mark.parametrize(
    ("found", "best"), [([None, 0.2, 0.1], 0.2), ([math.nan, 0.2, math.nan], 0.2), ([0.1, None, 0.3], 0.3)], ids=str
)
def test_an_undefined_result_is_never_the_best(found, best, tmp_path):
    results = iter(found)
    run = RunDirectory(tmp_path / "run", {})
    evaluation = PeriodicEvaluation(run, 1, lambda: {"pearson": next(results)}, lambda folder: None, ("pearson", "max"))
    evaluation.set_model(SimpleNamespace(train_function=None))
    for step in (1, 2, 3):
        evaluation.evaluate(step)
    assert run.results["best"]["pearson"] == best


@pytest.mark.parametrize(("repeated", "best"), [(0.93, (200, 0.97)), (0.97, (200, 0.97)), (0.98, (200, 0.98))])
def test_a_resumed_run_replaces_its_best_model_only_by_a_better_one(repeated, best, tmp_path):
    """The run was killed after step 200, whose model is in `best/`; its newest state is that of step 150."""
    run = RunDirectory(tmp_path / "run", {})
    accuracies, saved = iter([0.95, 0.97, repeated, 0.9]), []
    evaluation = PeriodicEvaluation(
        run, 100, lambda: {"accuracy": next(accuracies)}, saved.append, ("accuracy", "max"), patience=1
    )
    evaluation.set_model(SimpleNamespace(train_function=None))
    for step in (100, 200):
        evaluation.evaluate(step)
    evaluation.forget_after(150)
    assert [entry["step"] for entry in run.results["evaluations"]] == [100]
    assert run.results["best"] == {"step": 200, "accuracy": 0.97}
    evaluation.evaluate(200)
    assert not evaluation.patience_spent
    evaluation.evaluate(300)
    assert evaluation.patience_spent
    assert [entry["accuracy"] for entry in run.results["evaluations"]] == [0.95, repeated, 0.9]
    assert (run.results["best"]["step"], run.results["best"]["accuracy"]) == best
    assert len(saved) == 2 + (repeated > 0.97)


@pytest.mark.parametrize(("patience", "measured"), [(1, 3), pytest.param(2, 4, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("eagerly")
def test_patience_ends_the_run(small, tokenizer, few, monkeypatch, patience, measured):
    accuracies = iter([0.5, 0.9, 0.7, 0.7, 0.95])
    monkeypatch.setattr(FineTuned, "evaluate", lambda self, examples: {"accuracy": next(accuracies)})
    run = tuned(small, tokenizer, few, dev=few, epochs=5, patience=patience)
    assert len(run.results["evaluations"]) == measured
    assert run.results["dev"] == {"accuracy": 0.9}
    assert run.results["steps"] == 2 * measured + 1  # all workers stop together, one step later


@pytest.mark.slow
def test_an_interrupted_run_ends_in_the_same_weights(finished, small, tokenizer, animals, monkeypatch):
    kept = CheckpointSaver.on_train_batch_end

    def pressed(self, batch, logs=None):
        if steps_taken(self.model) == 30:
            monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", kept)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", pressed)
    with pytest.raises(KeyboardInterrupt):
        tuned(small, tokenizer, animals, dev=animals, epochs=8)
    assert len(run_file("run")["results"]["evaluations"]) == 3
    tuned(small, tokenizer, animals, dev=animals, epochs=8)
    assert run_file("run")["results"] == run_file(finished)["results"]
    for name, value in read_tensors(finished / "model.weights.h5").items():
        np.testing.assert_array_equal(read_tensors(Path("run/model.weights.h5"))[name], value, err_msg=name)


def test_other_texts_are_another_run(finished, small, tokenizer, animals):
    other = {**animals, "text": [*animals["text"][:-1], "something else"]}
    with pytest.raises(kbs.UserError, match="already holds a run with examples"):
        tuned(small, tokenizer, other, finished, animals, epochs=8)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lowercase": False}, r"with tokenizer\.lowercase True, not False; use"),
        ({"strip_accents": False}, r"with tokenizer\.strip_accents none, not False; use"),
        ({"max_word_length": 9}, r"with tokenizer\.max_word_length none, not 9; use"),
        ({"target": "letters"}, r"with tokenizer\.target none, not "),
    ],
)
def test_another_tokenizer_is_another_run(finished, small, vocabulary, letters, animals, change, named):
    """Also with the same vocabulary; a run that began before its rules were recorded is resumed."""
    if "target" in change:
        change = {"target": letters}
    other = kbs.BertTokenizer(vocabulary, **{"lowercase": True, **change})
    with pytest.raises(kbs.UserError, match=named):
        tuned(small, other, animals, finished, animals, epochs=8)
    held = run_file(finished)
    del held["settings"]["tokenizer"]
    Path("older").mkdir()
    Path("older/run.json").write_text(json.dumps(held))
    assert tuned(small, other, animals, "older", animals, epochs=8).finished


# So high that results differ after two steps.
FAST = {"learning_rate": 0.1}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory, small, tokenizer, animals, few, eager_functions) -> Path:
    """Two runs, trained on a few rows and evaluated on all."""
    out = tmp_path_factory.mktemp("seeds") / "run"
    with eager_functions():
        return tuned(small, tokenizer, few, out, animals, seed=3, seeds=2, **FAST).path


@pytest.mark.usefixtures("eagerly")
def test_several_seeds_give_mean_and_spread(seeds, animals):
    results = run_file(seeds)["results"]
    for name in ("accuracy", "loss"):
        found = [results["dev_by_seed"][seed][name] for seed in ("3", "4")]
        assert results["dev_over_seeds"][name] == spread(found)
        assert results["dev"][name] == spread(found)["mean"]
    assert results["dev"]["examples"] == len(animals["text"])
    best = results["dev_by_seed"][str(results["best_seed"])]
    assert best["accuracy"] == max(found["accuracy"] for found in results["dev_by_seed"].values())
    assert kbs.evaluate(seeds, animals) == best
    assert {f"seed-{seed}" for seed in (3, 4)} <= {entry.name for entry in seeds.iterdir()}


@pytest.mark.usefixtures("eagerly")
def test_the_same_seed_gives_the_same_results(seeds, small, tokenizer, animals, few):
    """Bit-identical, alone or among several seeds; another seed gives other results."""
    alone = tuned(small, tokenizer, few, dev=animals, seed=4, **FAST)
    assert alone.results == run_file(seeds / "seed-4")["results"]
    assert alone.results["dev"]["loss"] != run_file(seeds / "seed-3")["results"]["dev"]["loss"]
    among, other = (read_tensors(seeds / name / "model.weights.h5") for name in ("seed-4", "seed-3"))
    for name, value in read_tensors(alone.path / "model.weights.h5").items():
        np.testing.assert_array_equal(value, among[name], err_msg=name)
        assert not np.array_equal(value, other[name]), name


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_frozen_layers_stay_as_they_were(config, tokenizer, few):
    kbs.BertPretrainer(kbs.BertBackbone(config)).save_pretrained("pretrained", tokenizer)
    how = FineTuning(**{**QUICK, "epochs": 1, "freeze_layers": 1})
    finetune("classification", "pretrained", few, "run", how=how)
    before, after = (read_tensors(Path(folder) / "model.weights.h5") for folder in ("pretrained", "run"))
    moved = {name for name in after if name in before and not np.array_equal(before[name], after[name])}
    assert {name.partition("/")[0] for name in moved} == {"encoder_block_1", "pooler"}


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_accumulation_and_recomputation_change_nothing(small, tokenizer, few):
    without_dropout = small.replace(hidden_dropout=0.0, attention_dropout=0.0)
    tuned(without_dropout, tokenizer, few, "plain")
    tuned(without_dropout, tokenizer, few, "saving", options=kbs.RunOptions(accumulate=2, remat=True))
    plain, saving = (read_tensors(Path(run) / "model.weights.h5") for run in ("plain", "saving"))
    for name, value in plain.items():
        np.testing.assert_allclose(saving[name], value, atol=2e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_bfloat16_is_part_of_the_settings(small, tokenizer, few):
    tuned(small, tokenizer, few, options=kbs.RunOptions(dtype="bfloat16"))
    assert run_file("run")["settings"]["dtype"] == "bfloat16"
    with pytest.raises(kbs.UserError, match="dtype bfloat16, not float32"):
        tuned(small, tokenizer, few)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_random_weights_learn_faster_than_pretrained_ones(small, tokenizer, few):
    how = FineTuning(epochs=0.01, batch_size=8, max_length=32)
    finetune("classification", small, few, "random", how=how, tokenizer=tokenizer)
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained("pretrained", tokenizer)
    for out, changes in {"tuned": {}, "fast": {"learning_rate": 1e-3}}.items():
        finetune("classification", "pretrained", few, out, how=dataclasses.replace(how, **changes))
    found = [run_file(out)["settings"]["training"] for out in ("random", "tuned", "fast")]
    assert [training["learning_rate"] for training in found] == [1 / np.sqrt(4000 * small.hidden_size), 5e-5, 1e-3]
    assert [training["bias_correction"] for training in found] == [True, False, False]


@pytest.mark.slow
def test_one_trace_serves_batches_of_all_lengths(small, tokenizer, animals, monkeypatch):
    traced = []
    step = TrainFunction._replica_step

    def counted(self, batch, *arguments):
        traced.append(batch[0]["token_ids"].shape[1])
        return step(self, batch, *arguments)

    monkeypatch.setattr(TrainFunction, "_replica_step", counted)
    words = " ".join(animals["text"])
    uneven = {"text": [words[: 7 * number] for number in range(1, 31)], "label": ["even", "odd"] * 15}
    tuned(small, tokenizer, uneven, epochs=1, batch_size=2, max_length=64)
    assert traced == [None]


def test_the_run_tells_its_non_padding_fraction(finished, tokenizer, animals):
    data = kbs.TaskData.read("classification", animals, tokenizer, max_length=32)
    assert run_file(finished)["results"]["non_padding_fraction"] == round(data.non_padding_fraction(8), 4)


@pytest.mark.usefixtures("eagerly")
def test_fine_tuning_starts_from_the_pretrained_weights(small, tokenizer, animals):
    pretrainer = kbs.BertPretrainer(kbs.BertBackbone(small))
    pretrainer.save_pretrained("pretrained", tokenizer)
    # The learning rate is so small that no weight changes.
    how = FineTuning(**{**QUICK, "epochs": 0.1, "learning_rate": 1e-12})
    finetune("classification", "pretrained", animals, "run", how=how)
    tuned_backbone = FineTuned.load("run").model.backbone
    for before, after in zip(pretrainer.backbone.weights, tuned_backbone.weights, strict=True):
        np.testing.assert_allclose(np.asarray(before), np.asarray(after), atol=1e-6)
    assert tuned_backbone.config == small  # dropout included


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "`epochs`"),
        ({"epochs": -1}, "`epochs`"),
        ({"epochs": float("nan")}, "`epochs`"),
        ({"learning_rate": float("nan")}, "`learning_rate`"),
        ({"max_length": 1}, "`max_length`"),
        ({"max_length": 65}, "65 tokens are more than the 64 positions"),
        ({"patience": 0}, "`patience`"),
        ({"patience": 1}, "`patience`: needs `dev`"),
        ({"freeze_layers": -1}, "`freeze_layers`"),
        ({"freeze_layers": 2}, "`freeze_layers`: the model has 1 layers"),
        ({"seed": -1}, "`seed`"),
        ({"seeds": 0}, "`seeds`"),
        ({"seeds": 2, "max_length": 65}, "65 tokens are more than the 64 positions"),
        ({"task": "poetry"}, "`task`: 'poetry' is unknown; choose one of classification"),
        ({"task_options": {"threshold": 0.5}}, "`threshold`: is not an option of classification"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_before_anything_is_written(changes, named, small, tokenizer, animals):
    with pytest.raises(kbs.UserError, match=named):
        tuned(small, tokenizer, animals, **changes)
    assert not Path("run").exists()


def test_a_vocabulary_of_another_size_is_refused(small, tokenizer, animals):
    with pytest.raises(kbs.UserError, match="only 99 rows"):
        tuned(small.replace(vocab_size=99), tokenizer, animals)
    assert not Path("run").exists()


# --- several devices

KERAS_BERT = [sys.executable, "-m", "keras_bert_scratch"]
MIRRORED = ["--strategy", "mirrored", "--virtual-devices", "2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], MIRRORED, id="two devices"),
        pytest.param(["launch", "-n", "2", "--"], [], id="two workers"),
    ],
)
def test_several_replicas_tune_as_one_device(before, after, small, tokenizer, few):
    """With the commands; `tests/training/test_distribution.py` tests two devices in Python."""
    backbone = kbs.BertBackbone(small.replace(hidden_dropout=0.0, attention_dropout=0.0))
    kbs.BertPretrainer(backbone).save_pretrained("pretrained", tokenizer)
    with Path("data.csv").open("w", newline="") as file:
        rows = zip(few["text"], few["label"], strict=True)
        csv.writer(file).writerows([("text", "label"), *rows])
    how = FineTuning(epochs=1, batch_size=8, max_length=32, learning_rate=1e-3)
    finetune("classification", "pretrained", "data.csv", "one", "data.csv", how)
    line = ["finetune", "--init", "pretrained", "--train", "data.csv", "--dev", "data.csv", "--out", "several"]
    line += ["--epochs", "1", "--batch", "8", "--length", "32", "--learning-rate", "1e-3"]
    done = subprocess.run([*KERAS_BERT, *before, *line, *after], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, several = (read_tensors(Path(run) / "model.weights.h5") for run in ("one", "several"))
    for name, value in one.items():
        np.testing.assert_allclose(several[name], value, atol=1e-5, err_msg=name)
    assert run_file("one")["results"] == run_file("several")["results"]
    assert run_file("several")["starts"][0]["replicas"] == 2
