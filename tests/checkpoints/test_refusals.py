"""A mismatch is one line that names the file or the tensor, and weights that stay random are always reported."""

import json
import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

GOLDEN = Path(__file__).parents[1] / "golden"
PRETRAINING = "huggingface/BertForPreTraining"


def tensors_changed(change):
    def damage(model: Path) -> None:
        tensors = safetensors.numpy.load_file(model / "model.safetensors")
        change(tensors)
        safetensors.numpy.save_file(tensors, model / "model.safetensors")

    return damage


def config_changed(name: str, **values):
    def damage(model: Path) -> None:
        described = json.loads((model / name).read_text())
        (model / name).write_text(json.dumps(described | values))

    return damage


def cut(name: str, keep: float = 0.6):
    def damage(model: Path) -> None:
        content = (model / name).read_bytes()
        (model / name).write_bytes(content[: int(len(content) * keep)])

    return damage


def removed(name: str):
    return lambda model: (model / name).unlink()


def written(name: str, content: str):
    return lambda model: (model / name).write_text(content)


class Attack:
    """A pickle that would create a file when it is opened."""

    def __reduce__(self):
        return Path.touch, (Path("owned"),)


def attack(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(pickle.dumps(Attack()))


def second_shard_missing(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-00001-of-00002.safetensors")
    where = {"bert.pooler.dense.bias": "model-00001-of-00002.safetensors", "x": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))


def shard_index(described: dict):
    def damage(model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "model.safetensors.index.json").write_text(json.dumps(described))

    return damage


QUERY = "bert.encoder.layer.1.attention.self.query.weight"
REFUSALS = [
    # folder, damage, what the error says
    (PRETRAINING, tensors_changed(lambda t: t.pop(QUERY)), f"model.safetensors: lacks the tensor {QUERY}"),
    (PRETRAINING, tensors_changed(lambda t: t.update({QUERY: t[QUERY][:8]})), rf"{QUERY} has the shape \(8, 16\)"),
    (PRETRAINING, tensors_changed(lambda t: t.update({"crf.start": np.zeros(3)})), "also holds crf.start, .* no known"),
    (
        PRETRAINING,
        tensors_changed(lambda t: t.update({"cls.predictions.decoder.weight": np.zeros((40, 16), "float32")})),
        "cls.predictions.decoder.weight differs from bert.embeddings",
    ),
    (
        PRETRAINING,
        tensors_changed(lambda t: [t.update({f"my_model.{n}": t.pop(n)}) for n in list(t) if n.startswith("bert")]),
        "lacks .*; it has my_model.bert.embeddings.word_embeddings.weight instead: rename its tensors",
    ),
    (PRETRAINING, cut("model.safetensors"), "model.safetensors: is missing, damaged or cut short"),
    (PRETRAINING, removed("model.safetensors"), "holds no model.safetensors, pytorch_model.bin or tf_model.h5"),
    (PRETRAINING, second_shard_missing, "model-00002-of-00002.safetensors: is missing, damaged"),
    *(
        (PRETRAINING, shard_index(described), "model.safetensors.index.json: its weight_map should give the file of")
        for described in ({"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": 3}}, {})
    ),
    (PRETRAINING, attack, "pytorch_model.bin: wants to run"),
    (PRETRAINING, written("config.json", "{"), "config.json: is not readable JSON"),
    (PRETRAINING, config_changed("config.json", model_type="roberta"), 'config.json: model_type is "roberta"'),
    (PRETRAINING, config_changed("config.json", hidden_act="mish"), r"config.json: .*\(hidden_act\) 'mish' is not"),
    (PRETRAINING, config_changed("config.json", is_decoder=True), "config.json: is_decoder is true"),
    (
        PRETRAINING,
        config_changed("config.json", num_attention_heads=3),
        "config.json: num_attention_heads: 3 does not divide",
    ),
    (
        PRETRAINING,
        config_changed("config.json", position_embedding_type="relative_key"),
        'position_embedding_type is "relative_key"',
    ),
    (PRETRAINING, config_changed("config.json", num_hidden_layers=3), r"lacks the tensor bert.encoder.layer.2.att"),
    (PRETRAINING, config_changed("config.json", num_hidden_layers=1), r"also holds bert.encoder.layer.1.att"),
    (
        "google",
        written("vocab.txt", "\n".join((*SPECIAL_TOKENS, *"abcdefghijklmnopqrstuvwxyzäöüß0123456789"))),
        "has 45 tokens.* 40 rows",
    ),
    ("huggingface/BertForMaskedLM", cut("tokenizer.json"), "tokenizer.json: is not readable JSON"),
    ("huggingface_tf/pretraining", cut("tf_model.h5"), "tf_model.h5: is damaged"),
    ("google", cut("bert_model.ckpt.data-00000-of-00001"), "bert_model.ckpt: is damaged"),
    ("google", removed("bert_model.ckpt.data-00000-of-00001"), "bert_model.ckpt: is damaged or lacks its data"),
    ("google", cut("bert_model.ckpt.index", 0.9), "bert_model.ckpt: is damaged"),
    ("google", removed("bert_model.ckpt.index"), "should hold one checkpoint.* holds none"),
    ("google", config_changed("bert_config.json", hidden_size=32), r"has the shape \(40, 16\).*\(40, 32\)"),
    ("google", config_changed("bert_config.json", hidden_act="swish"), "bert_config.json: .*'swish'"),
    ("model_garden/encoder_checkpoint", config_changed("bert_config.json", num_hidden_layers=3), "lacks.*layer_2"),
    ("model_garden/saved_model", cut("variables/variables.data-00000-of-00001"), "variables: is damaged"),
    ("google", removed("bert_config.json"), "holds no model: neither"),
]


@pytest.mark.parametrize(("folder", "damage", "named"), REFUSALS)
def test_damage_and_mismatch_are_named(folder, damage, named, tmp_path):
    shutil.copytree(GOLDEN / folder, tmp_path / "model")
    damage(tmp_path / "model")
    with pytest.raises(kbs.UserError, match=named) as refusal:
        read_checkpoint(tmp_path / "model")
    assert "\n" not in str(refusal.value)
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (written("config.json", '{"class_name": "GPT2Backbone"}'), "config.json: is a KerasHub GPT2Backbone"),
        (
            written("config.json", '{"class_name": "BertBackbone", "config": {}}'),
            "config.json: lacks 'vocabulary_size'",
        ),
        (cut("model.weights.h5"), "model.weights.h5: is damaged"),
        (removed("model.weights.h5"), "model.weights.h5: is damaged"),
        (
            lambda model: [removed("model.weights.h5")(model), written("model.weights.json", "{}")(model)],
            "model.weights.json: its weight_map should give the file of",
        ),
    ],
)
def test_a_damaged_preset_is_named(damage, named, tmp_path):
    write_checkpoint(read_checkpoint(GOLDEN / "google"), tmp_path / "model", "keras_hub")
    damage(tmp_path / "model")
    with pytest.raises(kbs.UserError, match=named):
        read_checkpoint(tmp_path / "model")


def test_what_cannot_be_written_is_refused(tmp_path):
    choices = read_checkpoint(GOLDEN / "huggingface" / "BertForMultipleChoice")
    with pytest.raises(kbs.UserError, match="do not support the head of a BertMultipleChoice"):
        write_checkpoint(choices, tmp_path / "out", "google")
    with pytest.raises(kbs.UserError, match="`to`: 'onnx' is unknown; choose one of huggingface"):
        write_checkpoint(choices, tmp_path / "out", "onnx")
    assert not (tmp_path / "out").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(kbs.UserError, match="full: exists already"):
        write_checkpoint(choices, tmp_path / "full", "huggingface")


TINY = kbs.BertConfig(vocab_size=8, num_layers=1, hidden_size=8, num_heads=2, max_position_embeddings=8)


@pytest.mark.parametrize(
    ("decoder", "to", "named"),
    [
        (None, "google", "`to='google'`: its scripts do not support a BertTranslator; choose another format"),
        (TINY.replace(hidden_size=16), "google", "`to='google'`: its scripts do not support a BertTranslator"),
        (
            TINY.replace(hidden_size=16),
            "huggingface",
            "`to='huggingface'`: its decoder must have the encoder's hidden size of 8, but has 16; choose native",
        ),
    ],
)
def test_a_translator_that_cannot_be_written_is_refused(decoder, to, named):
    model = kbs.BertTranslator(kbs.BertBackbone(TINY, pooler=False), decoder=decoder)
    with pytest.raises(kbs.UserError, match=named):
        write_checkpoint(model.to_checkpoint(), "out", to)
    assert not Path("out").exists()


FRESH = [
    # class, folder, arguments, weights that are initialized at random
    (kbs.BertBackbone, PRETRAINING, {}, None),
    (kbs.BertPretrainer, PRETRAINING, {}, None),
    (kbs.BertMaskedLM, PRETRAINING, {}, None),
    (kbs.BertTextClassifier, "huggingface/BertForSequenceClassification", {}, None),
    (
        kbs.BertTextClassifier,
        "huggingface/BertForSequenceClassification",
        {"num_classes": 5},
        "logits/bias, logits/kernel",
    ),
    (kbs.BertTextClassifier, PRETRAINING, {"num_classes": 2}, "logits/bias, logits/kernel"),
    (
        kbs.BertTextClassifier,
        "huggingface/BertForTokenClassification",
        {"num_classes": 3},
        "logits/bias, logits/kernel, pooler/dense/bias, pooler/dense/kernel",
    ),
    (kbs.BertQuestionAnswerer, "google", {}, "logits/bias, logits/kernel"),
    (kbs.BertNextSentencePredictor, "google", {}, None),
]


@pytest.mark.parametrize(("cls", "folder", "arguments", "fresh"), FRESH)
def test_what_starts_from_random_numbers_is_listed(cls, folder, arguments, fresh, caplog):
    with caplog.at_level(logging.WARNING):
        model = cls.from_pretrained(GOLDEN / folder, **arguments)
    stored = read_checkpoint(GOLDEN / folder).weights
    logged = [record.getMessage() for record in caplog.records]
    assert [f"has no {fresh}; they start from random numbers" in line for line in logged] == [True] * bool(fresh)
    for variable in model.trainable_variables:
        if not fresh or variable.path not in fresh:
            np.testing.assert_array_equal(np.asarray(variable), stored[variable.path])


def test_a_new_head_needs_to_know_its_size():
    with pytest.raises(kbs.UserError, match="holds a BertPretrainer, so a new BertTokenClassifier needs `num_classes`"):
        kbs.BertTokenClassifier.from_pretrained(GOLDEN / PRETRAINING)
