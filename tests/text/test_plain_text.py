"""The fast path agrees with Google's tokenizer on every character that it accepts, so it may be used."""

import os
import subprocess
import sys

import googles_tokenizer
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.text.plain_text import is_nearly_plain, is_plain, make_plain
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.word_rules import WordRules

CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
LETTERS = [chr(c) for c in range(0x21, 0x7F)]


def taken(lowercase: bool) -> list[str]:
    """Every character that the fast path accepts in a text."""
    texts = tf.constant(CHARACTERS)
    mask = (is_plain(texts) | is_nearly_plain(texts, WordRules(lowercase))).numpy()
    return [c for c, yes in zip(CHARACTERS, mask, strict=True) if yes]


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character_that_it_takes(lowercase, tmp_path):
    characters = taken(lowercase)
    assert len(characters) > (800 if lowercase else 150)
    assert {"\n", "a", "—", "\u00a0", "\ufeff"} <= set(characters)
    assert ("é" in characters) == lowercase
    assert not {"½", "ß", "Σ", "北", "\x01", "°"} & set(characters)
    tokens = dict.fromkeys((*LETTERS, *characters))
    words = [token for token in tokens if token.strip()]
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, *words, *(f"##{word}" for word in words)))
    judge = googles_tokenizer.Judge(vocabulary, lowercase, tmp_path)
    texts = [f"a{c}B {c}" for c in characters] + [f"{c}{d}" for c in characters[::7] for d in characters[::31]]
    expected = [judge.ids(text) for text in texts]
    tokenizer = kbs.BertTokenizer(vocabulary, lowercase)
    plain = is_plain(tf.constant(texts))
    made_plain = tf.where(plain, texts, make_plain(tf.constant(texts), WordRules(lowercase)))
    assert tokenizer._tokenize_plain(made_plain).to_list() == expected
    assert tokenizer.tokenize(texts).to_list() == expected
    assert tokenizer._tokenize_any(tf.constant(texts)).to_list() == expected


@pytest.mark.slow  # TensorFlow starts once more: its locale is the one that the process starts with
def test_the_machines_language_changes_nothing():
    program = (
        "import keras_bert_scratch as kbs\n"
        "words = kbs.Vocabulary(('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'it', 'is', 'i', 'deja', 'vu'))\n"
        "print(kbs.BertTokenizer(words, True).tokenize(['It Is D\\u00e9j\\u00e0 vu I\\u0300']).to_list())"
    )
    turkish = {**os.environ, "LC_ALL": "tr_TR.UTF-8"}
    answer = subprocess.run([sys.executable, "-c", program], env=turkish, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[[5, 6, 8, 9, 7]]"
