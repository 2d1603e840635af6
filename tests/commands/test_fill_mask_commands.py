"""Filling masks by commands alone, with a model from pretraining."""

import json
import re
from pathlib import Path

import pytest
from commands.calls import keras_bert, refused

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import pictures

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def pretrained(small, tokenizer) -> None:
    kbs.BertPretrainer(kbs.BertBackbone(small)).save_pretrained("pretrained", tokenizer)


@pytest.mark.usefixtures("pretrained")
def test_masks_are_filled_and_texts_measured():
    result = keras_bert("predict", "pretrained", "The [MASK] watches.", "[MASK] [MASK]", "--top-k", "2")
    assert result.exit_code == 0, result.output
    one, two = result.stdout.splitlines()
    assert re.fullmatch(r"\S+ \([\d.e-]+\), \S+ \([\d.e-]+\)\tThe \[MASK\] watches\.", one)
    assert re.fullmatch(r"\S+ \S+ \([\d.e-]+\), \S+ \S+ \([\d.e-]+\)\t\[MASK\] \[MASK\]", two)
    result = keras_bert("predict", "pretrained", "a [MASK] b [MASK]", "--target", "heron", "--target=the otter")
    of_gap = r"heron \([\d.e-]+\), the otter \([\d.e-]+\)"
    assert re.fullmatch(rf"{of_gap} \| {of_gap}\ta \[MASK\] b \[MASK\]\n", result.stdout)

    Path("t.csv").write_text("sentence\nThe heron.\nThe [MASK].\n")
    refused("predict", "pretrained", "--data", "t.csv", saying=r"t\.csv: line 2 has no \[MASK\].*--on-bad-row skip")
    result = keras_bert("predict", "pretrained", "--data", "t.csv", "--out", "a.jsonl", "--on-bad-row", "skip")
    assert result.exit_code == 0, result.output
    (row,) = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert (row["text"], len(row["masks"]), len(row["fillings"])) == ("The [MASK].", 1, 5)
    result = keras_bert("evaluate", "pretrained", "--data", "t.csv", "--on-bad-row", "skip", "--task", "fill-mask")
    assert "pseudo perplexity per word" in result.output


@pytest.mark.usefixtures("pretrained")
def test_a_picture_shows_the_candidates_of_each_gap(monkeypatch):
    drawn, draw = [], pictures.figure_of_candidates

    def recorded(panels, title, exclusive):
        drawn.extend(panels)
        return draw(panels, title, exclusive)

    monkeypatch.setattr(pictures, "figure_of_candidates", recorded)
    result = keras_bert("predict", "pretrained", "The [MASK].", "--top-k", "2", "--picture", "words.png")
    assert result.exit_code == 0, result.output
    [panel] = drawn
    assert (panel.text, len(panel.probabilities)) == ("The [MASK].", 2)
    assert all(f"{word} ({probability:.3g})" in result.stdout for word, probability in panel.probabilities.items())
    targets = ["--target", "heron", "--target", "otter"]
    result = keras_bert("predict", "pretrained", "a [MASK] b [MASK]", *targets, "--picture", "targets.png")
    assert result.exit_code == 0, result.output
    assert [panel.text for panel in drawn[1:]] == ["gap 1: a [MASK] b [MASK]", "gap 2: a [MASK] b [MASK]"]
    assert all(panel.probabilities.keys() == {"heron", "otter"} for panel in drawn[1:])
    for file in ("words.png", "targets.png"):
        assert Path(file).read_bytes().startswith(b"\x89PNG")
        assert f"{file}: written" not in result.stdout


def test_the_flags_of_a_task_are_in_the_help_of_what_asks():
    for verb in ("predict", "export"):
        assert {"--top-k", "--target"} <= set(
            re.findall(r"--[a-z-]+", keras_bert(verb, "--task=fill-mask", "-h").output)
        )
        assert "--top-k" not in keras_bert(verb, "--help").output
    assert "--top-k" not in keras_bert("finetune", "--task", "fill-mask", "--help").output


@pytest.mark.usefixtures("pretrained")
def test_what_does_not_go_is_said_in_flags(small, tokenizer):
    refused("predict", "pretrained", "a", saying=r"row 1 has no \[MASK\]")
    refused("predict", "pretrained", "[MASK]", "--target", "北", saying="--target: '北' has a piece")
    refused("predict", "pretrained", "[MASK]", "--top-k", "0", saying="--top-k: must be at least 1")
    refused("export", "pretrained", "--out", "x", "--top-k", "0", saying="--top-k: must be at least 1")
    for asked in (["--picture", "a.png"], ["--errors", "3"]):  # refused before the data are read
        argv = ["evaluate", "pretrained", "--data", "none.csv", "--task", "fill-mask", *asked]
        refused(*argv, saying=f"{asked[0]}: the task fill-mask has (no picture|no list of errors); leave it out")
    kbs.BertTextClassifier(kbs.BertBackbone(small), 2).save_pretrained("classifier", tokenizer)
    refused("predict", "classifier", "a", "--top-k", "3", saying="--top-k: is not an option of classification")
    for argv in (["predict", "classifier", "[MASK]"], ["export", "classifier", "--out", "x"]):
        refused(*argv, "--task", "fill-mask", saying="holds a BertTextClassifier, which has no head for fill-mask")
    argv = ["finetune", "--task", "fill-mask", "--init", "pretrained", "--train", "t.csv", "--out", "x"]
    refused(*argv, saying="--task: fill-mask is not trained by fine-tuning; see 'keras-bert pretrain RECORDS --init")
    Path("saved/").mkdir()
    Path("saved/saved_model.pb").touch()
    refused("predict", "saved", "[MASK]", "--top-k", "3", saying="--top-k: the options of saved were fixed at export")
