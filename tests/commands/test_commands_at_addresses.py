"""The verbs with addresses instead of paths, as a shell passes them."""

import json

import pytest
from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import app
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.spec import Spec

pytestmark = pytest.mark.usefixtures("eagerly")

TABLE = b"text,label\nthe sky,sky\na film,film\n"


@pytest.fixture
def there(vocabulary, tokenizer, tmp_path) -> str:
    """An address with a fine-tuned model and a table."""
    config = kbs.BertConfig(len(vocabulary), num_layers=1, hidden_size=16, num_heads=2)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=2)
    address = f"ram://{tmp_path.name}"
    FineTuned(model, tokenizer, Spec("classification", ("text",), 8, ("film", "sky"))).save(f"{address}/tuned")
    (path_of(address) / "films.csv").write_bytes(TABLE)
    return address


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_evaluate(there):
    output = run("evaluate", f"{there}/tuned", "--data", f"{there}/films.csv")
    assert f"{there}/tuned on {there}/films.csv" in output
    assert "accuracy" in output


def test_predict(there):
    assert "the sky" in run("predict", f"{there}/tuned", "the sky")
    out = f"{there}/answers.jsonl"
    assert f"{out}: written" in run("predict", f"{there}/tuned", "--data", f"{there}/films.csv", "--out", out)
    rows = [json.loads(line) for line in path_of(out).read_text().splitlines()]
    assert [row["text"] for row in rows] == ["the sky", "a film"]
    assert {row["label"] for row in rows} <= {"film", "sky"}


@pytest.mark.slow
def test_export_and_ask(there):
    output = run("export", f"{there}/tuned", "--out", f"{there}/film", "--version", "next")
    assert f"{there}/film/1: SavedModel, classification" in output
    assert 'base_path: "/models/film"' in path_of(f"{there}/models.config").read_text()
    assert run("predict", f"{there}/film/1", "the sky") == run("predict", f"{there}/tuned", "the sky")


def test_convert(there):
    output = run("convert", f"{there}/tuned", f"{there}/theirs", "--to", "huggingface")
    assert f"{there}/theirs: Hugging Face" in output
    assert "BertTextClassifier, Hugging Face" in run("inspect", f"{there}/theirs")


def test_finetune_and_inspect(there):
    options = ["--epochs", "1", "--batch", "2", "--length", "8"]
    out = f"{there}/again"
    table = f"{there}/films.csv"
    assert f"finished: {out}" in run("finetune", "--init", f"{there}/tuned", "--train", table, "--out", out, *options)
    assert f"{out}: finished classification run" in run("inspect", out)
    assert f"{out}/vocab.txt: uncased vocabulary" in run("inspect", f"{out}/vocab.txt")


def test_what_is_not_there_is_named(there):
    for arguments in (["evaluate", f"{there}/none", "--data", f"{there}/films.csv"], ["inspect", f"{there}/none"]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert f"{there}/none: " in result.output.replace("\n", " ")
        assert "Traceback" not in result.output
