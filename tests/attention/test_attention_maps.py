"""Attention maps and their statistics, against the formulas of the papers."""

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.attention.maps import AttentionMaps, attention_maps
from keras_bert_scratch.attention.page import write_page
from keras_bert_scratch.attention.picture import figure_of


@pytest.fixture(scope="module")
def model(config, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    kbs.BertPretrainer(kbs.BertBackbone(config.replace(initializer_range=1.0))).save_pretrained(folder, tokenizer)
    return folder


def maps_of(*layers):
    """The maps of these weights: `(heads, tokens, tokens)` for each layer."""
    weights = np.array(layers, "float32")
    return AttentionMaps(("a",) * weights.shape[-1], (0,) * weights.shape[-1], weights)


def test_entropy_is_that_of_the_formula():
    sure, even, between = [[1, 0], [0, 1]], [[0.5, 0.5]] * 2, [[0.25, 0.75], [1, 0]]
    expected = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75)) / 2
    np.testing.assert_allclose(maps_of([sure, even, between]).entropy, [[0, 1, expected]], rtol=1e-6)


def test_rollout_multiplies_layer_by_layer():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.ones(5), (3, 2, 5)).astype("float32")
    maps = maps_of(*weights)
    mixed = [0.5 * layer.mean(0) + 0.5 * np.eye(5) for layer in weights.astype("float64")]
    np.testing.assert_allclose(maps.rollout[0], mixed[0], atol=1e-6)
    np.testing.assert_allclose(maps.rollout[2], mixed[2] @ mixed[1] @ mixed[0], atol=1e-6)
    np.testing.assert_allclose(maps.rollout.sum(-1), 1, atol=1e-6)


def test_a_mask_is_the_token_and_others_are_refused(model):
    tokens = attention_maps(model, "The [MASK] sleeps.", "An [MASK].").tokens
    assert tokens.count("[MASK]") == 2
    for texts, said in (
        (("A heron. [SEP] An otter.",), r"`text`: contains \[SEP\]; special tokens are added to `text` and `pair`"),
        (("A heron.", "[CLS] a"), r"`pair`: contains \[CLS\]"),
        (("A heron [PAD]",), r"`text`: contains \[PAD\]"),
        (("A \udcff heron.",), "`text`: has a lone surrogate or bytes that are not UTF-8; correct them"),
        (("A heron.", "\ud800"), "`pair`: has a lone surrogate"),
    ):
        with pytest.raises(kbs.UserError, match=said):
            attention_maps(model, *texts)


def test_a_pair_is_one_sequence(model):
    """Attention weights computed by hand, from the layer's own kernels and biases."""
    maps = attention_maps(model, "The heron sleeps.", "An otter wakes.")
    assert maps.tokens[0] == "[CLS]"
    assert [at for at, token in enumerate(maps.tokens) if token == "[SEP]"] == [
        maps.segments.index(1) - 1,
        len(maps.tokens) - 1,
    ]
    backbone, tokenizer = kbs.BertBackbone.from_pretrained(model), kbs.BertTokenizer.load(model)
    ids = np.array([[tokenizer.vocabulary.tokens.index(token) for token in maps.tokens]])
    inputs = {"token_ids": ids, "segment_ids": np.array([maps.segments]), "padding_mask": np.ones_like(ids)}
    x = np.array(backbone.encode_layers(inputs)[1])[0]  # the input of the second block
    attention = backbone.encoder_blocks[1].attention
    for head in range(2):
        part = slice(8 * head, 8 * head + 8)
        query, key = (
            (x @ np.array(layer.kernel) + np.array(layer.bias))[:, part] for layer in (attention.query, attention.key)
        )
        expected = np.exp(query @ key.T / math.sqrt(8))
        np.testing.assert_allclose(maps.weights[1, head], expected / expected.sum(-1, keepdims=True), atol=1e-5)


def test_the_picture_has_a_matrix_for_each_head():
    weights = np.random.default_rng(0).dirichlet(np.ones(5), (3, 2, 5))
    maps = maps_of(*weights)
    figure = figure_of(dataclasses.replace(maps, tokens=("[CLS]", "$", "a", "$", "[SEP]")), "a/model")
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_allclose(drawn, weights.reshape(6, 5, 5), atol=1e-6)
    assert figure.get_suptitle() == "a/model\n[CLS] $ a $ [SEP]"
    cut = figure_of(dataclasses.replace(maps, truncated=1234), "a/model")
    assert cut.get_suptitle() == "a/model\na a a a a (1,234 more truncated)"
    long = figure_of(dataclasses.replace(maps, tokens=("x" * 130, "[SEP]")), "a/model").get_suptitle()
    assert "xxx" in long
    assert long.endswith("…")


def test_what_a_page_shows_cannot_end_its_data():
    write_page(maps_of([[[1.0]]]), "</script><b>", "page.html")
    text = Path("page.html").read_text(encoding="utf-8")
    (data,) = re.findall('<script id="data" type="application/json">(.*?)</script>', text)
    assert json.loads(data)["model"] == "</script><b>"


def test_weights_that_are_not_numbers_are_refused_with_the_model_s_name(config, tokenizer):
    broken = kbs.BertPretrainer(kbs.BertBackbone(config))
    kernel = broken.backbone.encoder_blocks[0].attention.query.kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    broken.save_pretrained("broken", tokenizer)
    with pytest.raises(kbs.UserError, match="broken: its attention weights are not finite numbers"):
        attention_maps("broken", "A heron.")


def test_what_is_too_long_is_cut_and_said(model, caplog):
    maps = attention_maps(model, "The heron sleeps. " * 40, max_length=16)
    assert len(maps.tokens) == 16
    assert maps.tokens[-1] == "[SEP]"
    assert "16 are shown" in caplog.text
    tokenizer = kbs.BertTokenizer.load(model)
    assert maps.truncated == int(tokenizer.tokenize(["The heron sleeps. " * 40]).row_lengths()[0]) + 2 - 16
    assert attention_maps(model, "The heron sleeps.").truncated == 0


def test_what_cannot_be_is_said(model, tmp_path):
    with pytest.raises(kbs.UserError, match="`text`: is empty"):
        attention_maps(model, " ")
    with pytest.raises(kbs.UserError, match="`max_length`: 65 tokens are more than the 64 positions"):
        attention_maps(model, "a", max_length=65)
    with pytest.raises(kbs.UserError, match="`max_length`: must be at least 5, not 0"):
        attention_maps(model, "a", max_length=0)
    few = kbs.BertConfig(
        vocab_size=len(kbs.BertTokenizer.load(model).vocabulary), num_layers=1, hidden_size=16, num_heads=2
    )
    few = few.replace(max_position_embeddings=12)
    kbs.BertMaskedLM(kbs.BertBackbone(few)).save_pretrained("few", kbs.BertTokenizer.load(model))
    assert len(attention_maps("few", "a heron " * 9).tokens) == 12
    kbs.BertMaskedLM(kbs.BertBackbone(few.replace(direction="joined"))).save_pretrained("joined")
    kbs.BertTokenizer.load(model).save("joined")
    with pytest.raises(kbs.UserError, match="joined: consists of two joined one-way encoders"):
        attention_maps("joined", "a heron")
    with pytest.raises(kbs.UserError, match="none"):
        attention_maps(tmp_path / "none", "a")
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "task.json").touch()
    with pytest.raises(kbs.UserError, match="is a SavedModel; give the run or model that it was exported from"):
        attention_maps(tmp_path, "a")
