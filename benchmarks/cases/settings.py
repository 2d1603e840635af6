"""Section 3, settings of other libraries and odd configs: obeyed, refused by name, or reported."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, NotHereError, keras_bert, logged
from benchmarks.cases.small import HOW, PAIRS, batch, classifier, config, huggingface, records, tokenizer

DOCS = Path(__file__).resolve().parents[2] / "docs" / "formats.md"

words, heads, fields = Group("3 tokenizer settings"), Group("3 head settings"), Group("3 every field")
odd, activations = Group("3 odd configs"), Group("3 hidden_act")
GROUPS = (words, heads, fields, odd, activations)

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "cafe", "café", "东", "京", "东京")


def tokens(settings: dict[str, Any], text: str) -> list[str]:
    """Returns the tokens of a text, by a tokenizer of Hugging Face's with these settings."""
    Path("theirs").mkdir()
    Path("theirs/vocab.txt").write_text("\n".join(TOKENS))
    Path("theirs/tokenizer_config.json").write_text(json.dumps(settings))
    [ids] = kbs.BertTokenizer.load("theirs").tokenize([text]).to_list()
    return [TOKENS[number] for number in ids]


for _settings, _text, _expected in (
    ({"do_lower_case": True}, "Café", ["cafe"]),
    ({"do_lower_case": True, "strip_accents": False}, "Café", ["café"]),
    ({"do_lower_case": False, "strip_accents": True}, "café", ["cafe"]),
    ({"do_lower_case": False}, "café", ["café"]),
    ({"tokenize_chinese_chars": True}, "东京", ["东", "京"]),
    ({"tokenize_chinese_chars": False}, "东京", ["东京"]),
):

    @words.right(f"{json.dumps(_settings)} is obeyed", _settings, _text, _expected)
    def _(settings: dict[str, Any], text: str, expected: list[str]) -> str:
        assert tokens(settings, text) == expected
        return f"{text} -> {expected}"


for _settings, _name in (
    ({"never_split": ["[X]"]}, "never_split"),
    ({"tokenizer_class": "BertJapaneseTokenizer"}, "tokenizer_class"),
    ({"tokenizer_class": "RobertaTokenizer"}, "tokenizer_class"),
    ({"unk_token": "<unk>"}, "unk_token"),
    ({"do_basic_tokenize": False}, "do_basic_tokenize"),
):

    @words.clear(f"{json.dumps(_settings)} is refused by name", "tokenizer_config.json", _name)
    def _(settings: dict[str, Any] = _settings) -> Any:
        return tokens(settings, "cafe")


def theirs(file: str = "config.json", **changes: Any) -> Path:
    """Returns the folder of a Hugging Face classifier with changed settings."""
    folder = huggingface()
    values = (json.loads((folder / file).read_text()) if (folder / file).exists() else {}) | changes
    (folder / file).write_text(json.dumps(values))
    return folder


@heads.right("classifier_dropout is obeyed, and kept")
def _() -> None:
    model = kbs.BertTextClassifier.from_pretrained(theirs(classifier_dropout=0.4))
    assert model.dropout.rate == 0.4
    model.save_pretrained("ours")
    assert kbs.BertTextClassifier.from_pretrained("ours").dropout.rate == 0.4
    keras_bert("convert", "ours", "back", "--to", "huggingface")
    assert json.loads(Path("back/config.json").read_text())["classifier_dropout"] == 0.4


@heads.right("problem_type is obeyed: a sigmoid loss, and kept")
def _() -> str:
    model = kbs.BertTextClassifier.from_pretrained(theirs(problem_type="multi_label_classification"))
    (x, y), hot = batch(), np.eye(3, dtype="float32")
    model.compile("sgd")
    logits = np.asarray(model(x))
    loss = float(np.mean(np.logaddexp(0, logits) - logits * hot[y]))
    assert abs(model.evaluate(x, hot[y], verbose=0, return_dict=True)["loss"] - loss) < 1e-4
    model.save_pretrained("ours", tokenizer())
    keras_bert("convert", "ours", "back", "--to", "huggingface")
    written = json.loads(Path("back/config.json").read_text())["problem_type"]
    assert written == "multi_label_classification"
    return written


def documented(title: str) -> dict[str, list[tuple[str, str]]]:
    """Returns the fields of a table of the docs, by kind, each with the only value that is supported."""
    section = DOCS.read_text().partition(f"### {title}\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| (obeyed|refused|without effect) \| (.*) \|$", section, re.MULTILINE)
    return {kind: re.findall(r"`([^`=]+)(?:=([^`]*))?`", cell) for kind, cell in rows}


def changed(value: str) -> Any:
    """Returns a value other than the one that is supported."""
    kept = json.loads(value) if value else None
    return {bool: not kept, str: "another", list: ["x"], dict: {"0": [1]}}.get(type(kept), {"bits": 8})


def refusal(title: str, field: str, value: Any) -> str:
    """Returns the error message about this setting when the model, or the tokenizer, is read."""
    try:
        if title.startswith("config.json"):
            kbs.BertTextClassifier.from_pretrained(theirs(**{field: value}))
        else:
            kbs.BertTokenizer.load(theirs(title, **{field: value}))
    except kbs.UserError as error:
        return str(error)
    return "nothing"


for _title in ("config.json of Hugging Face", "tokenizer_config.json", "special_tokens_map.json"):

    @fields.right(f"every field that the docs call refused, in {_title}", _title)
    def _(title: str) -> str:
        refused = documented(title)["refused"]
        assert len(refused) > 4
        for field, value in refused:
            shutil.rmtree("theirs", ignore_errors=True)
            assert field in refusal(title, field, changed(value)), field
        return f"{len(refused)} fields"


@fields.right("a field that nobody knows is told")
def _() -> str:
    with logged() as messages:
        kbs.BertTextClassifier.from_pretrained(theirs(rope_theta=1e4))
    assert any("'rope_theta'" in message for message in messages), messages
    return messages[0]


@fields.right("every field that transformers writes is in the docs' tables")
def _() -> str:
    try:
        from transformers import BertConfig
    except ImportError:
        raise NotHereError("needs transformers") from None
    known = {field for row in documented("config.json of Hugging Face").values() for field, _ in row}
    written = set(BertConfig().to_dict())
    assert written <= known, written - known
    return f"{len(written)} fields"


for _values, _says in (
    ({"hidden_size": None}, ("hidden_size", "not None")),
    ({"type_vocab_size": None}, ("type_vocab_size", "not None")),
    ({"vocab_size": None}, ("vocab_size",)),
    ({"hidden_size": "16"}, ("hidden_size", "not '16'")),
    ({"num_hidden_layers": "1"}, ("num_hidden_layers", "not '1'")),
    ({"layer_norm_eps": "1e-12"}, ("layer_norm_eps", "not '1e-12'")),
    ({"hidden_dropout_prob": "0.1"}, ("hidden_dropout_prob", "not '0.1'")),
    ({"id2label": ["no", "maybe", "yes"]}, ("id2label", "list")),
    ({"id2label": {"0": "no"}}, ("id2label",)),
    ({"architectures": "BertModel"}, ("architectures",)),
    ({"num_attention_heads": 3}, ("config.json", "divide")),
):

    @odd.clear(f"config.json with {json.dumps(_values)}", "config.json", *_says)
    def _(values: dict[str, Any] = _values) -> Any:
        return kbs.BertTextClassifier.from_pretrained(theirs(**values))


def _one_segment() -> None:
    classifier(num_segments=1).save_pretrained("model", tokenizer())


_PAIR_CASES: dict[str, Callable[[], Any]] = {
    "fine-tuned on pairs": lambda: kbs.finetune("classification", "model", PAIRS, "run", how=HOW),
    "pretrained on pairs": lambda: _pretrain_one_segment(),
}


def _pretrain_one_segment() -> Any:
    data = kbs.PretrainingRecords(records())
    return kbs.pretrain(data, config(num_segments=1), "run", kbs.TrainingOptions(steps=1), 4, 16)


for _name, _run in _PAIR_CASES.items():

    @odd.clear(f"a model of type_vocab_size 1 is {_name}", "type_vocab_size", "pair")
    def _(run: Callable[[], Any] = _run) -> None:
        _one_segment()
        run()


def erf_gelu(x: np.ndarray) -> np.ndarray:
    """The exact GELU."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / 2**0.5))


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gelu": erf_gelu,
    "gelu_new": lambda x: 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
for _name, _function in FUNCTIONS.items():

    @activations.right(f"hidden_act {_name} is obeyed", _name, _function)
    def _(name: str, function: Callable[[np.ndarray], np.ndarray]) -> None:
        model = kbs.BertTextClassifier.from_pretrained(theirs(hidden_act=name))
        layer = model.backbone.encoder_blocks[0].feed_forward.intermediate
        x = np.random.default_rng(0).normal(size=(1, 4, 16)).astype("float32") * 30
        product = x @ np.asarray(layer.kernel) + np.asarray(layer.bias)
        np.testing.assert_allclose(np.asarray(layer(x)), function(product), atol=1e-4)


for _name in ("gelu_10", "quick_gelu", "mish", "nonsense", None):

    @activations.clear(f"hidden_act {_name} is refused by name", "hidden_act", str(_name), "supported are gelu")
    def _(name: str | None = _name) -> Any:
        return kbs.BertTextClassifier.from_pretrained(theirs(hidden_act=name))
