import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import classification
from keras_bert_scratch.tasks.classification import Classifier, finetune
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.training.step_function import EvaluationFunction
from keras_bert_scratch.training.train_function import TrainFunction

# From random weights the first steps without bias correction are so long that some seeds learn nothing.
SETTINGS = {"epochs": 12, "batch_size": 8, "max_length": 32, "learning_rate": 3e-3, "bias_correction": True}


@pytest.fixture(scope="module")
def data(documents) -> kbs.LabelledText:
    """A task that a small network can learn: is the sentence about a heron or about an otter?"""
    texts = [sentence for document in documents for sentence in document if "heron" in sentence or "otter" in sentence]
    return kbs.LabelledText(texts, [int("otter" in text) for text in texts], ["heron", "otter"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory, config, tokenizer, data) -> Path:
    out = tmp_path_factory.mktemp("tuned") / "run"
    finetune(config, tokenizer, data, data, out, **SETTINGS)
    return out


def test_fine_tuning_learns_the_task(finished, data):
    results = Classifier.load(finished).evaluate(data)
    assert results["accuracy"] > 0.95
    assert (results["majority"], results["examples"]) == (0.5, len(data))


def test_one_trace_serves_batches_of_all_lengths(config, tokenizer, data, monkeypatch):
    traced = []
    for function in (TrainFunction, EvaluationFunction):
        step = function._replica_step

        def counted(self, batch, *told, function=function, step=step):
            traced.append((function.__name__, batch[0]["token_ids"].shape[1]))
            return step(self, batch, *told)

        monkeypatch.setattr(function, "_replica_step", counted)
    texts = [" ".join(data.texts)[: 7 * number] for number in range(1, 31)]
    uneven = kbs.LabelledText(texts, [number % 2 for number in range(30)], ["even", "odd"])
    finetune(config, tokenizer, uneven, uneven, "run", epochs=2, batch_size=2, max_length=64)
    assert traced == [("TrainFunction", None), ("EvaluationFunction", None)]


def test_the_run_tells_its_fill(finished, data, tokenizer):
    results = json.loads((finished / "run.json").read_text())["results"]
    assert results["fill"] == round(data.fill(tokenizer, 8, 32), 4)


def test_other_texts_are_another_run(finished, config, tokenizer, data):
    other = kbs.LabelledText([*data.texts[:-1], "something else"], data.labels, data.label_names)
    with pytest.raises(kbs.UserError, match="already holds a run with examples"):
        finetune(config, tokenizer, other, data, finished, **SETTINGS)


def test_answers_come_with_their_scores(finished):
    (label, scores), _ = Classifier.load(finished).answer(["The heron sleeps.", "An otter!"])
    assert label == max(scores, key=scores.__getitem__)
    assert set(scores) == {"heron", "otter"}
    assert sum(scores.values()) == pytest.approx(1, abs=1e-5)


def test_the_folder_holds_all_it_takes(finished):
    names = {entry.name for entry in finished.iterdir()}
    assert {"config.json", "task.json", "vocab.txt", "model.weights.h5", "run.json", "metrics.csv"} <= names


def test_fine_tuning_starts_from_the_pretrained_weights(config, tokenizer, data):
    pretrainer = kbs.BertPretrainer(kbs.BertBackbone(config))
    pretrainer.save_pretrained("pretrained", tokenizer)
    # With so small a rate nothing moves: what comes out is what went in.
    finetune("pretrained", tokenizer, data, None, "run", epochs=0.1, batch_size=8, max_length=32, learning_rate=1e-12)
    tuned = Classifier.load("run").model.backbone
    for before, after in zip(pretrainer.backbone.weights, tuned.weights, strict=True):
        np.testing.assert_allclose(np.asarray(before), np.asarray(after), atol=1e-6)


def test_a_vocabulary_of_another_size_is_refused(config, tokenizer, data):
    with pytest.raises(kbs.UserError, match="the model 99"):
        finetune(config.replace(vocab_size=99), tokenizer, data, None, "run", max_length=32)
    assert not Path("run").exists()


def test_rows_longer_than_the_position_table_are_refused(config, tokenizer, data):
    with pytest.raises(kbs.UserError, match=r"--length\): 65"):
        finetune(config, tokenizer, data, None, "run", max_length=65)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda: None, "holds no task.json"),
        (lambda: Path("model/task.json").write_text("{"), "is damaged"),
        (lambda: Path("model/task.json").write_text("{}"), "is damaged"),
    ],
    ids=["pretrained only", "no json", "nothing in it"],
)
def test_what_is_no_classifier_is_named(config, tokenizer, damage, named):
    kbs.BertPretrainer(kbs.BertBackbone(config)).save_pretrained("model", tokenizer)
    damage()
    with pytest.raises(kbs.UserError, match=named):
        Classifier.load("model")


KERAS_BERT = [sys.executable, "-m", "keras_bert_scratch"]
MIRRORED = ["--strategy", "mirrored", "--virtual-devices", "2"]


@pytest.mark.parametrize("changes", [{"batch_size": 0}, {"epochs": 0}, {"epochs": -1}])
def test_no_training_is_refused_before_anything_is_written(changes, config, tokenizer, data):
    with pytest.raises(kbs.UserError, match=r"--batch|--epochs"):
        finetune(config, tokenizer, data, None, "run", **{**SETTINGS, **changes})
    assert not Path("run").exists()


def test_every_text_weighs_the_same_in_an_evaluation(finished, data):
    """Also the one in a last batch of its own, whose label is wrong here."""
    size = classification.EVALUATION_BATCH + 1
    labels = [*data.labels[: size - 1], 1 - data.labels[size - 1]]
    some = kbs.LabelledText(data.texts[:size], labels, data.label_names)
    classifier = Classifier.load(finished)
    scores = [scores for _, scores in classifier.answer(some.texts)]
    losses = [-np.log(row[data.label_names[label]]) for row, label in zip(scores, labels, strict=True)]
    assert classifier.evaluate(some)["loss"] == pytest.approx(np.mean(losses), abs=1e-3)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], MIRRORED, id="two devices"),
        pytest.param(["launch", "-n", "2", "--"], [], id="two workers", marks=pytest.mark.slow),
    ],
)
def test_several_replicas_tune_as_one_device(before, after, config, tokenizer, data):
    backbone = kbs.BertBackbone(config.replace(hidden_dropout=0.0, attention_dropout=0.0))
    kbs.BertPretrainer(backbone).save_pretrained("pretrained", tokenizer)
    with Path("data.csv").open("w", newline="") as file:
        rows = [(text, data.label_names[label]) for text, label in zip(data.texts, data.labels, strict=True)]
        csv.writer(file).writerows([("text", "label"), *rows])
    table = kbs.LabelledText.read("data.csv")
    finetune("pretrained", tokenizer, table, table, "one", epochs=1, batch_size=8, max_length=32, learning_rate=1e-3)
    line = ["finetune", "--init", "pretrained", "--train", "data.csv", "--dev", "data.csv", "--out", "several"]
    line += ["--epochs", "1", "--batch", "8", "--length", "32", "--learning-rate", "1e-3"]
    done = subprocess.run([*KERAS_BERT, *before, *line, *after], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, several = (read_tensors(Path(run) / "model.weights.h5") for run in ("one", "several"))
    for name, value in one.items():
        np.testing.assert_allclose(several[name], value, atol=1e-5, err_msg=name)
    results = [json.loads(Path(run, "run.json").read_text())["results"] for run in ("one", "several")]
    assert results[0] == results[1]
    assert json.loads(Path("several/run.json").read_text())["starts"][0]["replicas"] == 2
