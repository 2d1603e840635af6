"""What `keras-bert inspect` says about third-party folders, complete and damaged."""

import json
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from typer.testing import CliRunner

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import app

GOLDEN = Path(__file__).parents[1] / "golden"
SAVED_MODEL = GOLDEN / "model_garden" / "saved_model"


def inspect(path: Path | str):
    return CliRunner().invoke(app, ["inspect", str(path)])


def cut(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def test_a_run_that_does_not_say_when_it_started():
    Path("run").mkdir()
    Path("run/run.json").write_text(json.dumps({"status": "finished", "settings": {"task": "ner"}}))
    result = inspect("run")
    assert result.exit_code == 0
    assert "run: finished ner run" in result.output


@pytest.mark.parametrize(
    "name", ["saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"]
)
def test_a_damaged_saved_model_is_called_damaged(name):
    shutil.copytree(SAVED_MODEL, "model")
    cut(Path("model") / name)
    result = inspect("model")
    assert result.exit_code == 2
    assert "is damaged" in result.output


@pytest.mark.parametrize("module", [tf.Module, None], ids=["without variables", "with one"])
def test_another_saved_model_is_none_of_ours(module):
    saved = tf.Module()
    if module is None:
        saved.number = tf.Variable(1.0)
    tf.saved_model.save(saved, "other")
    shutil.rmtree("other/variables") if module else None
    result = inspect("other")
    assert result.exit_code == 0, result.output
    assert "other: SavedModel; 'saved_model_cli show" in result.output


def test_settings_and_notes_are_shown():
    shutil.copytree(GOLDEN / "huggingface" / "BertForMaskedLM", "model")
    for name, change in (("config.json", {"magic": 1}), ("tokenizer_config.json", {"strip_accents": False})):
        file = Path("model", name)
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
    result = inspect("model")
    assert "uncased, 40 tokens" in result.output
    assert "strip_accents=False" in result.output
    assert "the field 'magic' is unknown" in " ".join(result.output.replace("│", " ").split())


def test_a_vocabulary_with_one_capital_is_uncased():
    tokens = [f"w{number}" for number in range(100)]
    kbs.Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *tokens, "URL")).save("vocab.txt")
    assert "vocab.txt: uncased vocabulary" in inspect("vocab.txt").output


def test_how_a_model_embeds_texts_is_told(small):
    kbs.BertTextEmbedder(kbs.BertBackbone(small, pooler=False), "max").save_pretrained("model")
    assert "max of the tokens, length 1" in inspect("model").output
