"""Section 3, vocabularies: what other libraries accept is accepted; no token changes its id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert, logged
from benchmarks.cases.small import batch, classifier, huggingface, tokenizer

files, rows = Group("3 vocabularies"), Group("3 rows of embeddings")
GROUPS = (files, rows)

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "heron", "##s", "otter"]


def ids(tokens: list[str], text: str, prefix: str = "", **more: Any) -> list[int]:
    """Returns the ids of a text, by a tokenizer's folder with these tokens; `more` are further files."""
    Path("model").mkdir()
    Path("model/vocab.txt").write_text(prefix + "".join(f"{token}\n" for token in tokens))
    for name, content in more.items():
        Path(f"model/{name}.json").write_text(json.dumps(content))
    return kbs.BertTokenizer.load("model").tokenize([text]).to_list()[0]


@files.right("a byte order mark is passed over: [PAD] stays 0")
def _() -> None:
    assert ids(TOKENS, "the herons", "\ufeff") == [5, 6, 7]
    assert kbs.Vocabulary.load("model/vocab.txt").id("[PAD]") == 0


@files.right("a repeated token: text gets the later line, no id moves, the log tells")
def _() -> str:
    with logged() as messages:
        assert ids([*TOKENS[:6], "the", *TOKENS[6:]], "the otter") == [6, 9]
    [told] = messages
    assert "'the'" in told
    assert "no other id changes" in told
    assert "remove" not in told  # because removing it would ruin the model
    return told


@files.right("empty lines in the middle keep their rows")
def _() -> None:
    assert ids([*TOKENS[:6], "", "", *TOKENS[6:]], "the herons otter") == [5, 8, 9, 10]


@files.right("empty lines at the end are nothing")
def _() -> None:
    assert ids([*TOKENS, "", ""], "otter") == [8]
    assert len(kbs.BertTokenizer.load("model").vocabulary) == 9


@files.right("added_tokens.json: its tokens have their ids, the log tells")
def _() -> str:
    with logged() as messages:
        assert ids(TOKENS, "the newt", added_tokens={"newt": 9}) == [5, 9]
    assert "'newt'" in messages[0]
    return messages[0]


@files.right("one token with a capital does not make a vocabulary cased, and the log tells")
def _() -> str:
    tokens = [*TOKENS, *(f"word{number}" for number in range(90)), "URL"]
    with logged() as messages:
        assert ids(tokens, "The HERONS") == [5, 6, 7]
    [told] = messages
    assert "'URL'" in told
    assert "uncased" in told
    return told


@files.right("a vocabulary of many capitals is cased")
def _() -> None:
    assert ids([*TOKENS, "The", "Heron", "Otter"], "The otter") == [9, 8]


@files.clear("a vocabulary without [MASK]", "vocab.txt: lacks [MASK]")
def _() -> None:
    ids([token for token in TOKENS if token != "[MASK]"], "the")


@files.clear("vocab.txt and tokenizer.json of different models", "tokenizer.json", "vocab.txt", "different models")
def _() -> None:
    model = {"type": "WordPiece", "vocab": {token: number for number, token in enumerate(reversed(TOKENS))}}
    ids(TOKENS, "the", tokenizer={"model": model})


def with_rows(surplus: int) -> kbs.BertTextClassifier:
    """Loads a Hugging Face classifier whose embedding has `surplus` more rows than the vocabulary has tokens."""
    tokens = len(tokenizer().vocabulary)
    classifier(vocab_size=tokens + surplus).save_pretrained("ours")
    keras_bert("convert", "ours", "padded", "--to", "huggingface")
    for file in huggingface().glob("*"):
        if "token" in file.name or "vocab" in file.name:
            Path("padded", file.name).write_bytes(file.read_bytes())
    return kbs.BertTextClassifier.from_pretrained("padded")


for _multiple in (8, 64):

    @rows.right(f"rows padded to a multiple of {_multiple} are taken, without a word, and written again", _multiple)
    def _(multiple: int) -> str:
        tokens = len(tokenizer().vocabulary)
        surplus = -tokens % multiple or multiple
        with logged() as messages:
            model = with_rows(surplus)
        assert not messages, messages
        keras_bert("convert", "padded", "again", "--to", "native")
        again = kbs.BertTextClassifier.from_pretrained("again")
        np.testing.assert_array_equal(np.asarray(again(batch()[0])), np.asarray(model(batch()[0])))
        assert len(kbs.BertTokenizer.load("again").vocabulary) == tokens
        return f"{tokens} tokens, {tokens + surplus} rows"


@rows.right("a surplus that no padding explains is told")
def _() -> str:
    with logged() as messages:
        with_rows(1001)
    assert any("more than padding explains" in message for message in messages), messages
    return messages[0]


@rows.clear("fewer rows than tokens", "vocab.txt", "tokens", "rows", "trained with")
def _() -> None:
    with_rows(-3)
