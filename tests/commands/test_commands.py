"""The command line as a user sees it: help, answers, interruption."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands.calls import KERAS_BERT, keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.commands import main

NAMES = [module.__name__.rpartition(".")[2] for module in main.VERBS]


@pytest.mark.parametrize("verb", NAMES)
def test_every_help_has_an_example(verb):
    result = keras_bert(verb, "--help")
    assert result.exit_code == 0
    _, _, end = result.output.partition("Example:")
    assert end.strip().startswith(f"keras-bert {verb} ")


def test_help_lists_every_verb():
    shown = keras_bert("--help").output
    assert all(verb in shown for verb in NAMES)


def test_the_version():
    result = keras_bert("--version")
    assert (result.exit_code, result.output) == (0, f"keras_bert_scratch {kbs.__version__}\n")


def test_inspect_tells_what_things_are(model, records, corpus):
    keras_bert("vocab", corpus, "--size", "150", "--out", "vocab.txt")
    for path, expected in (
        ("vocab.txt", "uncased vocabulary"),
        (records, "documents, uncased"),
        (model, "BertTextClassifier"),
    ):
        result = keras_bert("inspect", path)
        assert result.exit_code == 0, result.output
        assert expected in result.output


GOLDEN = Path(__file__).parents[1] / "golden"
OTHERS = [
    # folder, what is printed about it
    (
        "google",
        ["BertPretrainer, Google TF1 checkpoint", "masked_lm, next_sentence", "uncased", "trained steps", "5,994"],
    ),
    ("huggingface/BertForSequenceClassification", ["BertTextClassifier, Hugging Face", "alpha, beta, gamma", "gelu"]),
    ("huggingface_tf/pretraining", ["BertPretrainer, Hugging Face", "5,994"]),
    ("model_garden/saved_model", ["BertMaskedLM, TensorFlow Model Garden", "gelu_tanh", "uncased"]),
]


@pytest.mark.parametrize(("folder", "expected"), OTHERS)
def test_inspect_tells_what_other_peoples_models_are(folder, expected):
    result = keras_bert("inspect", GOLDEN / folder)
    assert result.exit_code == 0, result.output
    assert all(words in result.output for words in expected), result.output


@pytest.mark.usefixtures("eagerly")
def test_a_model_of_hugging_face_is_converted_and_answers():
    shutil.copytree(GOLDEN / "huggingface" / "BertForSequenceClassification", "theirs")
    shutil.copy(GOLDEN / "google" / "vocab.txt", "theirs")
    result = keras_bert("convert", "theirs", "ours", "--to", "native")
    assert result.exit_code == 0, result.output
    assert "theirs: Hugging Face, BertTextClassifier" in result.output
    assert keras_bert("predict", "ours", "bad cab").output.split("\t")[0] in ("alpha", "beta", "gamma")
    result = keras_bert("convert", "ours", "preset", "--to", "keras_hub")
    assert "note: left out, as KerasHub's backbone has no such layer: logits" in result.output
    refused("convert", "ours", "preset", "--to", "google", saying="preset: exists already")


@pytest.mark.usefixtures("eagerly")
def test_predict_prints_label_score_and_text(model):
    result = keras_bert("predict", model, "The heron sleeps.", "An otter.")
    lines = [line.split("\t") for line in result.output.splitlines()]
    assert [text for _, _, text in lines] == ["The heron sleeps.", "An otter."]
    assert all(label in ("no", "yes") and 0.5 <= float(score) <= 1 for label, score, _ in lines)


def test_evaluate_measures_a_pretrained_model_on_records(small, tokenizer, records):
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained("pretrained", tokenizer)
    result = keras_bert("evaluate", "pretrained", "--data", records, "--length", "32")
    assert result.exit_code == 0, result.output
    assert "masked lm accuracy" in result.output


@pytest.mark.slow
def test_ctrl_c_keeps_the_state_and_the_same_command_goes_on(records):
    argv = ["pretrain", str(records), "--preset", "bert-tiny", "--steps", "250", "--batch", "2"]
    argv += ["--length", "16", "--out", "run"]
    process = subprocess.Popen([*KERAS_BERT, *argv], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not Path("run/metrics.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    # If Ctrl-C interrupts code executed from a string, CPython ends `python -m` by the signal; a shell shows 130 too.
    assert process.returncode in (130, -signal.SIGINT), stderr
    assert re.search(r"run: stopped at step \d+; the same command resumes from there\n$", stderr)
    # If Ctrl-C interrupts a destructor or another library's callback, Python itself prints an ignored exception.
    assert stderr.count("Traceback") == stderr.count("Exception ignored in")
    assert not Path("run/model.weights.h5").exists()
    assert list(Path("run/training_state").glob("step-*"))
    again = keras_bert(*argv)
    assert again.exit_code == 0, again.output
    assert Path("run/model.weights.h5").exists()
