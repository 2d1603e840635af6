"""Model cards: a hub can read their metadata, their examples run, and what a person wrote stays."""

import json
import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.card import is_ours
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.models.text_embedder import BertTextEmbedder
from keras_bert_scratch.models.translator import BertTranslator
from keras_bert_scratch.training.run_directory import RunDirectory

PIPELINES = {
    kbs.BertBackbone: "feature-extraction",
    kbs.BertPretrainer: "fill-mask",
    kbs.BertTextClassifier: "text-classification",
    kbs.BertTokenClassifier: "token-classification",
    kbs.BertQuestionAnswerer: "question-answering",
    kbs.BertMultipleChoice: "multiple-choice",
    BertTextEmbedder: "sentence-similarity",
    BertTranslator: "translation",
}


def saved(model_class, config, tokenizer, path="model"):
    backbone = kbs.BertBackbone(config)
    more = {"num_classes": 2} if model_class in (kbs.BertTextClassifier, kbs.BertTokenClassifier) else {}
    model = backbone if model_class is kbs.BertBackbone else model_class(backbone, **more)
    model.save_pretrained(path, tokenizer)
    return model


def tuned(config, tokenizer, path):
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=2, label_names=("no", "a|b: c"))
    found = kbs.FineTuned(model, tokenizer, kbs.Spec("classification", ("text",), 8, model.label_names))
    found.save(path)
    return found


def examples(path):
    return re.findall(r"```python\n(.*?)```", (Path(path) / "README.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("model_class", PIPELINES)
def test_a_hub_reads_what_stands_at_the_top(small, tokenizer, model_class):
    model = saved(model_class, small, tokenizer)
    write_checkpoint(read_checkpoint("model"), "there", "huggingface")
    for folder, library in (("model", "keras_bert_scratch"), ("there", "transformers")):
        card = ModelCard.load(Path(folder) / "README.md")
        assert (card.data.library_name, card.data.pipeline_tag) == (library, PIPELINES[model_class])
        assert card.data.tags[0] == "bert"
        assert card.data.license is card.data.base_model is card.data.metrics is None
        assert f"{model.count_params():,} parameters" in card.text or model_class is BertTranslator
        for code in examples(folder):
            if "transformers" not in code:
                exec(code.replace('"."', repr(folder)), {})  # in an example, "." is the card's own folder


@pytest.mark.usefixtures("eagerly")
def test_a_run_tells_how_it_was_trained(small, tokenizer, capsys):
    settings = {"start": "hf://google/tiny@v1", "start_commit": "c0ffee", "seed": 3, "examples": "d1gest"}
    with RunDirectory("run", settings) as run:
        tuned(small, tokenizer, run.folder)
        assert "Training" not in Path("run/README.md").read_text()
        run.finish({"steps": 7, "dev": {"accuracy": 0.75, "f1_macro": 0.5, "loss": 0.4, "examples": 8}})
    write_checkpoint(read_checkpoint("run"), "there", "huggingface")
    for folder in ("run", "there"):
        card = ModelCard.load(Path(folder) / "README.md")
        assert (card.data.base_model, card.data.metrics) == ("google/tiny", ["accuracy", "f1"])
        assert card.data.tags == ["bert", "keras", "tensorflow", "classification"]
        for fact in ("| accuracy | 0.75 |", "commit: `c0ffee`", "steps: `7`", r"| Labels | no, a\|b: c |", "8 tokens"):
            assert fact in card.text
    exec(examples("run")[0].replace('"."', "'run'"), {})
    assert "'label': " in capsys.readouterr().out


def test_a_card_in_another_encoding_is_a_person_s(small):
    Path("model").mkdir()
    Path("model/README.md").write_bytes("Grüße".encode("latin-1"))
    kbs.BertBackbone(small).save_pretrained("model")
    assert Path("model/README.md").read_bytes() == "Grüße".encode("latin-1")
    kbs.BertBackbone.from_pretrained("model")


@pytest.mark.parametrize("text", ["# Mine\n", None])
def test_what_a_person_wrote_or_changed_stays(small, tokenizer, text):
    tuned(small, tokenizer, "model")
    assert is_ours("model")
    card = Path("model/README.md")
    written = text or card.read_text().replace("To be filled in", "It is for cats. To be filled in")
    card.write_text(written)
    tuned(small.replace(num_layers=2), tokenizer, "model")
    saved(kbs.BertTextClassifier, small, tokenizer)
    assert card.read_text() == written
    assert sorted(file.name for file in Path("model").iterdir()) == [
        *("README.md", "config.json", "model.weights.h5", "task.json", "tokenizer_config.json", "vocab.txt"),
    ]


def test_a_card_that_nobody_changed_is_renewed(small, tokenizer):
    saved(kbs.BertBackbone, small, tokenizer)
    before = Path("model/README.md").read_text()
    saved(kbs.BertPretrainer, small.replace(num_layers=2), tokenizer)
    assert "2 layers" in Path("model/README.md").read_text()
    assert "2 layers" not in before
    saved(kbs.BertBackbone, small, tokenizer)
    assert Path("model/README.md").read_text() == before


def test_a_card_changes_nothing_for_who_reads_the_folder(small, tokenizer):
    found = tuned(small, tokenizer, "model")
    write_checkpoint(read_checkpoint("model"), "there", "huggingface")
    write_checkpoint(read_checkpoint("there"), "back", "native")
    back = kbs.BertTextClassifier.from_pretrained("back")
    for before, after in zip(found.model.get_weights(), back.get_weights(), strict=True):
        assert (before == after).all()
    assert json.loads(Path("back/task.json").read_text())["columns"] == ["text"]
