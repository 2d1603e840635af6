"""Odd settings and vocabularies against transformers itself: a setting that we obey has the same effect there."""

import json

import make_huggingface
import numpy as np
import our_bert
import pytest
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["Ab café CAFÉ b", "naïve Ünder", "北京a", "ab " + "a" * 99 + " " + "a" * 101, "x, y!", ""]
PIECES = [*"abcdefnrvxyABCDEFU,!", *(f"##{c}" for c in "abcdefnrvxyABCDEFUéïüÉÜ京"), "é", "ü", "Ü", "北", "京", "caf"]
# The settings that change how words are split, alone and in combination.
SETTINGS = [
    {"do_lower_case": True},
    {"do_lower_case": False},
    {"do_lower_case": True, "strip_accents": False},
    {"do_lower_case": False, "strip_accents": True},
    {"do_lower_case": True, "tokenize_chinese_chars": False},
    {"do_lower_case": False, "strip_accents": True, "tokenize_chinese_chars": False},
]


def their_ids(folder) -> list[list[int]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_word_rules(settings, tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL + PIECES) + "\n", encoding="utf-8")
    theirs = transformers.BertTokenizer.from_pretrained(tmp_path, **settings)
    theirs.save_pretrained(tmp_path / "saved")
    ours = kbs.BertTokenizer.load(tmp_path / "saved")
    assert ours.tokenize(TEXTS).to_list() == their_ids(tmp_path / "saved")


NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}
FILES = [
    # class, normalizer, tokenizer_config.json
    ("BertTokenizer", {"lowercase": False}, {"do_lower_case": True}),
    ("BertTokenizer", {"lowercase": True, "strip_accents": False}, {"do_lower_case": True, "strip_accents": None}),
    ("BertTokenizer", {"lowercase": True, "handle_chinese_chars": False}, {"do_lower_case": True}),
    ("BertTokenizer", None, {"do_lower_case": True}),
    ("PreTrainedTokenizerFast", {"lowercase": False}, {"do_lower_case": True}),
    ("TokenizersBackend", {"lowercase": True, "handle_chinese_chars": False}, {"tokenize_chinese_chars": True}),
]


@pytest.mark.parametrize(("name", "normalizer", "config"), FILES, ids=str)
def test_which_of_two_files_decides(name, normalizer, config, tmp_path):
    vocab = {token: number for number, token in enumerate(SPECIAL + PIECES)}
    wordpiece = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "vocab": vocab}
    described = {
        "model": {**wordpiece, "max_input_chars_per_word": 100},
        "normalizer": normalizer and {**NORMALIZER, **normalizer},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]},
        "added_tokens": [],
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(described))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, **config}))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert kbs.BertTokenizer.load(tmp_path).tokenize(TEXTS).to_list() == their_ids(tmp_path)


VOCABULARIES = {
    "repeated token": ["a", "b", "a", "##b"],
    "empty line": ["a", "", "b", "##b"],
    "special token twice": ["a", "[UNK]", "b", "##b"],
}


@pytest.mark.parametrize("kind", VOCABULARIES)
def test_odd_vocabularies(kind, tmp_path):
    """No token id changes."""
    (tmp_path / "vocab.txt").write_text("\n".join(SPECIAL + VOCABULARIES[kind]) + "\n")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    theirs = transformers.BertTokenizer.from_pretrained(tmp_path, do_lower_case=True)
    ours = kbs.BertTokenizer(tmp_path / "vocab.txt", lowercase=True)
    for text in ("a b ab", "x"):
        assert ours.tokenize([text]).to_list() == [theirs(text, add_special_tokens=False)["input_ids"]]


@pytest.mark.parametrize("name", ["relu", "silu", "swish", "tanh", "linear", "gelu_fast", "gelu_accurate"])
def test_activations(name, tmp_path, record):
    reference = make_huggingface.small_model("BertForMaskedLM", hidden_act=name)
    reference.save_pretrained(tmp_path / "theirs")
    batch = make_huggingface.small_batch("BertForMaskedLM")
    (expected,) = make_huggingface.outputs(reference, batch)
    (found,) = our_bert.head_outputs(our_bert.load_model(tmp_path / "theirs"), batch)
    difference = float(np.abs(found - np.asarray(expected)).max())
    record("logits", difference)
    assert difference <= 1e-5


@pytest.mark.parametrize("class_name", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_labels_in_another_order(class_name, tmp_path):
    """transformers reads what we wrote after we put the classes into another order: the same score by name."""
    reference = make_huggingface.small_model(class_name)
    reference.save_pretrained(tmp_path / "theirs")
    names = read_checkpoint(tmp_path / "theirs").label_names
    order = tuple(reversed(names))
    cls = getattr(kbs, read_checkpoint(tmp_path / "theirs").architecture)
    model = cls.from_pretrained(tmp_path / "theirs", label_names=order)
    write_checkpoint(model.to_checkpoint(), tmp_path / "back", "huggingface")
    again = getattr(transformers, class_name).from_pretrained(tmp_path / "back").eval()
    assert [again.config.id2label[number] for number in range(len(order))] == list(order)
    batch = make_huggingface.small_batch(class_name)
    (before,), (after,) = make_huggingface.outputs(reference, batch), make_huggingface.outputs(again, batch)
    np.testing.assert_allclose(np.asarray(after)[..., ::-1], np.asarray(before), rtol=0, atol=1e-6)


def test_settings_that_we_write_are_those_that_it_reads(tmp_path):
    reference = make_huggingface.small_model("BertForSequenceClassification", classifier_dropout=0.3)
    reference.config.problem_type = "multi_label_classification"
    reference.save_pretrained(tmp_path / "theirs")
    write_checkpoint(read_checkpoint(tmp_path / "theirs"), tmp_path / "back", "huggingface")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "back")
    assert (config.classifier_dropout, config.problem_type) == (0.3, "multi_label_classification")


def test_half_precision_is_read(tmp_path):
    for dtype in (torch.bfloat16, torch.float16):
        reference = make_huggingface.small_model("BertModel").to(dtype)
        reference.save_pretrained(tmp_path / str(dtype))
        weights = read_checkpoint(tmp_path / str(dtype)).weights
        theirs = reference.state_dict()["pooler.dense.bias"].float().numpy()
        np.testing.assert_array_equal(weights["pooler/dense/bias"], theirs)
