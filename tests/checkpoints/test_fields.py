"""Every field of third-party configs is obeyed, refused by name, or noted; the tables in the docs say the same."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints import config_fields
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint
from keras_bert_scratch.layers.dense import ACTIVATIONS as FUNCTIONS
from keras_bert_scratch.text import tokenizer_fields

GOLDEN = Path(__file__).parents[1] / "golden"
CLASSIFIER = "huggingface/BertForSequenceClassification"
DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.fixture
def folder(tmp_path):
    """Call it with a golden folder and changed fields of its config; a field of `...` is removed."""

    def changed(name: str, file: str = "config.json", **values) -> Path:
        shutil.copytree(GOLDEN / name, tmp_path / "model")
        described = json.loads((tmp_path / "model" / file).read_text()) | values
        described = {name: value for name, value in described.items() if value is not ...}
        (tmp_path / "model" / file).write_text(json.dumps(described))
        return tmp_path / "model"

    return changed


REFUSED = [
    ({"is_decoder": True}, "is_decoder is true, but its head reads the first token"),
    ({"is_decoder": "yes"}, "is_decoder should be true or false, not 'yes'"),
    ({"is_encoder_decoder": True}, "is_encoder_decoder is true"),
    ({"add_cross_attention": True}, "add_cross_attention is true"),
    ({"position_embedding_type": "relative_key"}, 'position_embedding_type is "relative_key", and only "absolute"'),
    ({"pruned_heads": {"0": [1]}}, "pruned_heads is"),
    ({"quantization_config": {"bits": 8}}, "quantization_config is"),
    ({"model_type": "roberta"}, 'model_type is "roberta"'),
    ({"problem_type": "guessing"}, "problem_type is 'guessing'; supported are regression"),
    ({"hidden_act": "gelu_10"}, r"its activation \(hidden_act\) 'gelu_10' is not supported; supported are gelu, "),
    ({"hidden_act": None}, "'?None'? is not supported"),
    ({"hidden_act": ["gelu"]}, "is not supported"),
    ({"hidden_size": "16"}, "config.json: hidden_size: must be a whole number of at least 1, not '16'"),
    ({"hidden_size": None}, "config.json: hidden_size: .* not None"),
    ({"num_hidden_layers": 2.0}, "config.json: num_hidden_layers: .* not 2.0"),
    ({"num_attention_heads": 0}, "config.json: num_attention_heads: .* not 0"),
    ({"intermediate_size": 0}, "config.json: intermediate_size: .* not 0"),
    ({"type_vocab_size": None}, "config.json: type_vocab_size: .* not None"),
    ({"layer_norm_eps": "1e-12"}, "config.json: layer_norm_eps: must be a number above 0, not '1e-12'"),
    ({"hidden_dropout_prob": "0.1"}, "config.json: hidden_dropout_prob: .* not '0.1'"),
    ({"classifier_dropout": "none"}, "config.json: classifier_dropout: .* not 'none'"),
    ({"initializer_range": None}, "config.json: initializer_range: .* not None"),
    ({"id2label": ["a", "b", "c"]}, r'config.json: id2label is a list, but must be an object like {"0"'),
    ({"id2label": None, "label2id": ["a"]}, "config.json: label2id is a list"),
    ({"id2label": {"0": "a", "1": "b"}}, "id2label names the classes 0, 1, but the head .* 0 to 2"),
    ({"id2label": {"1": "a", "2": "b", "3": "c"}}, "id2label names the classes 1, 2, 3"),
    ({"architectures": "BertModel"}, "config.json: architectures should be a list of names, not 'BertModel'"),
]


@pytest.mark.parametrize(("values", "named"), REFUSED)
def test_what_changes_the_numbers_is_refused_by_name(values, named, folder):
    with pytest.raises(kbs.UserError, match=named) as refusal:
        read_checkpoint(folder(CLASSIFIER, **values))
    assert "\n" not in str(refusal.value)


def test_what_nobody_knows_is_noted(folder, caplog):
    path = folder(CLASSIFIER, rope_theta=1e4, magic=True)
    (note,) = read_checkpoint(path).notes
    assert "config.json: the fields 'magic', 'rope_theta' are unknown and not obeyed" in note
    kbs.BertTextClassifier.from_pretrained(path)
    assert note in [record.getMessage() for record in caplog.records]


def test_a_golden_config_of_every_writer_leaves_nothing_to_tell():
    for path in sorted(GOLDEN.glob("*/**/*onfig.json")):
        if path.name != "tokenizer_config.json":
            notes = read_checkpoint(path.parent).notes
            assert [note for note in notes if "unknown" in note] == [], path


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"classifier_dropout": 0.4}, 0.4),
        ({"classifier_dropout": 0}, 0),
        ({"classifier_dropout": None}, 0.1),
        ({"classifier_dropout": ...}, 0.1),
    ],
)
@pytest.mark.parametrize("name", ["Sequence", "Token"])
def test_classifier_dropout_is_obeyed(name, values, found, folder):
    path = folder(f"huggingface/BertFor{name}Classification", **values)
    checkpoint = read_checkpoint(path)
    model = getattr(kbs, checkpoint.architecture).from_pretrained(path)
    assert model.dropout.rate == found
    model.save_pretrained("ours")
    assert type(model).from_pretrained("ours").dropout.rate == found
    write_checkpoint(checkpoint, "theirs", "huggingface")
    written = json.loads(Path("theirs/config.json").read_text())["classifier_dropout"]
    assert written == (None if values["classifier_dropout"] is ... else values["classifier_dropout"])


@pytest.mark.parametrize("problem_type", ["regression", "multi_label_classification", "single_label_classification"])
def test_problem_type_goes_in_and_out(problem_type, folder):
    checkpoint = read_checkpoint(folder(CLASSIFIER, problem_type=problem_type))
    assert checkpoint.problem_type == problem_type
    for to in ("huggingface", "native"):
        write_checkpoint(checkpoint, to, to)
        assert read_checkpoint(to).problem_type == problem_type
    write_checkpoint(checkpoint, "google", "google")
    assert any("problem_type" in note for note in checkpoint.notes) == (problem_type[0] != "s")


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ({}, ("alpha", "beta", "gamma")),
        ({"id2label": None, "label2id": {"c": 2, "a": 0, "b": 1}}, ("a", "b", "c")),
        ({"id2label": ..., "label2id": ...}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ({"id2label": {"0": 1, "1": 2, "2": 3}}, ("1", "2", "3")),
    ],
)
def test_label_names_are_found(values, labels, folder):
    assert read_checkpoint(folder(CLASSIFIER, **values)).label_names == labels


ACTIVATIONS = {
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5)),
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_other_activations_are_obeyed(name, folder):
    checkpoint = read_checkpoint(folder("huggingface/BertForMaskedLM", hidden_act=name))
    x = np.linspace(-4, 4, 41, dtype="float32")
    np.testing.assert_allclose(FUNCTIONS[checkpoint.config.activation](x), ACTIVATIONS[name](x), atol=1e-6)
    write_checkpoint(checkpoint, "theirs", "huggingface")
    assert read_checkpoint("theirs").config.activation == checkpoint.config.activation


@pytest.mark.parametrize(
    ("activation", "to", "refused"),
    [("silu", "google", True), ("relu", "google", False), ("relu", "keras_hub", True), ("silu", "native", False)],
)
def test_an_activation_that_a_format_has_not_is_refused(activation, to, refused):
    checkpoint = read_checkpoint(GOLDEN / "google")
    checkpoint.config = checkpoint.config.replace(activation=activation)
    if refused:
        with pytest.raises(kbs.UserError, match=f"`to='{to}'`.*'{activation}'"):
            write_checkpoint(checkpoint, "out", to)
        assert not Path("out").exists()
    else:
        write_checkpoint(checkpoint, "out", to)
        assert read_checkpoint("out").config.activation == activation


@pytest.mark.parametrize("to", ["google", "keras_hub"])
def test_what_a_format_cannot_hold_is_noted(to):
    checkpoint = read_checkpoint(GOLDEN / "google")
    checkpoint.config = checkpoint.config.replace(layer_norm_epsilon=1e-5)
    checkpoint.rules = kbs.BertTokenizer(checkpoint.vocabulary, True, tokenize_chinese_chars=False).rules
    write_checkpoint(checkpoint, "out", to)
    notes = "\n".join(checkpoint.notes)
    assert "fixed LayerNorm epsilon of 1e-12, not 1e-05" in notes
    assert "tokenized differently" in notes


@pytest.mark.parametrize("to", ["huggingface", "native", "keras_hub"])
def test_word_rules_go_in_and_out(to):
    checkpoint = read_checkpoint(GOLDEN / "google")
    checkpoint.rules = kbs.BertTokenizer(checkpoint.vocabulary, True, strip_accents=False).rules
    write_checkpoint(checkpoint, "out", to)
    rules = kbs.BertTokenizer.load("out").rules
    assert (rules.lowercase, rules.strip_accents) == (True, False)
    assert rules.max_word_length == (200 if to == "native" else 100)


def test_a_tokenizer_that_cannot_be_followed_leaves_the_model_usable(folder, caplog):
    path = folder("huggingface/BertForMaskedLM", "tokenizer_config.json", never_split=["[X]"])
    assert kbs.BertMaskedLM.from_pretrained(path).backbone.config.vocab_size == 40
    (notes,) = [record.getMessage() for record in caplog.records]
    assert 'tokenizer_config.json: never_split is ["[X]"]' in notes
    assert "the vocabulary is left out" in notes
    with pytest.raises(kbs.UserError, match="never_split"):
        kbs.BertTokenizer.load(path)


def test_an_embedding_padded_to_a_multiple_is_read(tmp_path):
    """40 rows for 38 tokens, as training on a GPU pads the embedding to a multiple of 8."""
    shutil.copytree(GOLDEN / "google", tmp_path / "model")
    lines = (tmp_path / "model" / "vocab.txt").read_text().split("\n")
    (tmp_path / "model" / "vocab.txt").write_text("\n".join(lines[:38]))
    checkpoint = read_checkpoint(tmp_path / "model")
    assert (len(checkpoint.vocabulary), checkpoint.config.vocab_size) == (38, 40)
    for to in ("huggingface", "native", "google"):
        write_checkpoint(checkpoint, to, to)
        assert len(read_checkpoint(to).vocabulary) == 38


TABLES = {
    "config.json of Hugging Face": config_fields.HUGGING_FACE_CONFIG,
    "config.json of Hugging Face, encoder and decoder": config_fields.HUGGING_FACE_TRANSLATOR_CONFIG,
    "bert_config.json of Google": config_fields.GOOGLE_CONFIG,
    "bert_config.json of the Model Garden": config_fields.MODEL_GARDEN_CONFIG,
    "config.json of KerasHub": config_fields.KERAS_OBJECT,
    "config.json of KerasHub, config": config_fields.KERAS_HUB_CONFIG,
    "sentence_bert_config.json": config_fields.TRANSFORMER_CONFIG,
    "config.json of Pooling": config_fields.POOLING_CONFIG,
    "config.json of Normalize": config_fields.NORMALIZE_CONFIG,
    "config_sentence_transformers.json": config_fields.PROMPTS_CONFIG,
    "tokenizer_config.json": tokenizer_fields.TOKENIZER_CONFIG,
    "special_tokens_map.json": tokenizer_fields.SPECIAL_TOKENS_MAP,
    "tokenizer.json of Hugging Face": tokenizer_fields.TOKENIZER_JSON,
    "tokenizer.json of Hugging Face, model": tokenizer_fields.WORDPIECE,
    "tokenizer.json of Hugging Face, normalizer": tokenizer_fields.NORMALIZER,
    "tokenizer.json of Hugging Face, pre_tokenizer": tokenizer_fields.PRE_TOKENIZER,
    "tokenizer.json of Hugging Face, post_processor": tokenizer_fields.POST_PROCESSOR,
    "tokenizer.json of KerasHub": tokenizer_fields.KERAS_OBJECT,
    "tokenizer.json of KerasHub, config": tokenizer_fields.KERAS_TOKENIZER,
}


@pytest.mark.parametrize("title", TABLES)
def test_the_docs_have_the_same_tables(title):
    section = DOCS.read_text().partition(f"### {title}\n")[2].partition("\n### ")[0].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (obeyed|refused|without effect) \| (.*) \|$", section, re.MULTILINE))
    found = {kind: set(re.findall(r"`([^`=]+)(?:=[^`]*)?`", cell)) for kind, cell in rows.items()}
    fields = TABLES[title]
    expected = {"obeyed": fields.obeyed, "refused": fields.allowed_values, "without effect": fields.without_effect}
    assert found == {kind: set(names) for kind, names in expected.items() if names}
