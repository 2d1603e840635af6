"""Vocabulary and casing, wherever a model's folder keeps them."""

import json
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.vocabulary_files import has_vocabulary, read_vocabulary

TOKENS = (*SPECIAL_TOKENS, "a", "##b")
LINES = "\n".join(TOKENS)
WORDPIECE = {"type": "WordPiece", "vocab": {token: number for number, token in enumerate(TOKENS)}}
FOLDERS = {
    # files, and the casing that they tell
    "only tokens": ({"vocab.txt": LINES}, None),
    "ours": ({"vocab.txt": LINES, "tokenizer_config.json": {"lowercase": False}}, False),
    "Hugging Face": ({"vocab.txt": LINES, "tokenizer_config.json": {"do_lower_case": False}}, False),
    "Hugging Face, uncased": ({"vocab.txt": LINES, "tokenizer_config.json": {"do_lower_case": True}}, True),
    "tokenizer.json": ({"tokenizer.json": {"model": WORDPIECE, "normalizer": {"lowercase": False}}}, False),
    "tokenizer.json without normalizer": ({"tokenizer.json": {"model": WORDPIECE, "normalizer": None}}, None),
    "an added token": (
        {
            "tokenizer.json": {
                "model": {**WORDPIECE, "vocab": {t: n for n, t in enumerate(TOKENS[:-1])}},
                "added_tokens": [{"id": 6, "content": "##b"}],
            }
        },
        None,
    ),
    "KerasHub": (
        {"assets/tokenizer/vocabulary.txt": LINES, "tokenizer.json": {"config": {"lowercase": True}}},
        True,
    ),
    "SavedModel": ({"assets/vocab.txt": LINES}, None),
}


def fill(folder: Path, files: dict) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", FOLDERS)
def test_where_they_are_kept(kind, tmp_path):
    files, lowercase = FOLDERS[kind]
    vocabulary, casing = read_vocabulary(fill(tmp_path / "model", files))
    assert (vocabulary.tokens, casing) == (TOKENS, lowercase)
    assert has_vocabulary(tmp_path / "model")
    assert kbs.BertTokenizer.load(tmp_path / "model").lowercase is (lowercase is not False)


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"readme": ""}, "holds no vocab.txt and no tokenizer.json"),
        ({"tokenizer.json": {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 2}}}}, "ids are not 0 to 1"),
        ({"tokenizer.json": {"model": {"vocab": {}}}}, "tokenizer.json: is not of the form"),
        ({"vocab.txt": LINES, "tokenizer_config.json": "{"}, "tokenizer_config.json: is not readable JSON"),
        ({"vocab.txt": LINES, "tokenizer_config.json": "[]"}, "tokenizer_config.json: should hold a JSON object"),
    ],
)
def test_what_is_wrong_is_named(files, named, tmp_path):
    with pytest.raises(kbs.UserError, match=named):
        read_vocabulary(fill(tmp_path / "model", files))
