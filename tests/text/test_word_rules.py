"""Rules that Google's code does not have: accents kept or stripped whatever the case, ideographs in one word."""

import itertools
import random

import googles_tokenizer
import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from test_words import ASSIGNED, random_texts

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.word_rules import WordRules
from keras_bert_scratch.text.words import split_words

EVERY = [WordRules(*values) for values in itertools.product((True, False), repeat=3)]
OTHERS = [rules for rules in EVERY if rules.differences()]


def named(rules: WordRules) -> str:
    return ", ".join(name for name in ("lowercase", "strip_accents", "tokenize_chinese_chars") if getattr(rules, name))


@pytest.mark.parametrize("rules", slow_but([OTHERS[0], OTHERS[-1]], OTHERS), ids=named)
def test_words_are_those_of_googles_parts(rules):
    texts = [f"a{c}B {c}" for c in ASSIGNED[::3]] + random_texts(random.Random(3), 3000)
    words = split_words(tf.constant(texts), rules)
    found = tf.RaggedTensor.from_row_splits(words.spelled(), words.text_splits).to_list()
    expected = [[w.encode() for w in googles_tokenizer.words_by_rules(text, rules)] for text in texts]
    wrong = [(text, *both) for text, *both in zip(texts, found, expected, strict=True) if both[0] != both[1]]
    assert wrong == []


LETTERS = "aeouAEOUéÉèüÜñçÇ̈́北京ß–—'.,"


@pytest.mark.parametrize("rules", slow_but([EVERY[0], EVERY[3], EVERY[-1]], EVERY), ids=named)
def test_the_quick_way_gives_the_same_tokens(rules):
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, *LETTERS, *(f"##{letter}" for letter in LETTERS)))
    settings = {"strip_accents": rules.strip_accents, "tokenize_chinese_chars": rules.tokenize_chinese_chars}
    tokenizer = kbs.BertTokenizer(vocabulary, rules.lowercase, **settings)
    rng = random.Random(4)
    texts = ["".join(rng.choices(LETTERS + "  ", k=12)) for _ in range(500)] + ["É", "é", "Ü a"]
    ids = tokenizer.tokenize(texts)
    assert ids.to_list() == tokenizer._tokenize_any(tf.constant(texts)).to_list()
    with_offsets, starts, limits = tokenizer.tokenize_with_offsets(texts)
    assert with_offsets.to_list() == ids.to_list()
    assert np.all(starts.flat_values < limits.flat_values)


def test_words_that_are_too_long_are_unknown():
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, "a", "##a", "é", "##é"))
    tokenizer = kbs.BertTokenizer(vocabulary, True, strip_accents=False, max_word_length=3)
    assert tokenizer.tokenize(["aaa aaaa", "ééé éééé"]).to_list() == [[5, 6, 6, 1], [7, 8, 8, 1]]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"lowercase": "yes"}, "`lowercase`: must be true or false, not 'yes'"),
        ({"lowercase": True, "strip_accents": 1}, "`strip_accents`"),
        ({"lowercase": True, "max_word_length": 0}, "`max_word_length`"),
        ({"lowercase": True, "max_word_length": "100"}, "`max_word_length`: .* not '100'"),
    ],
)
def test_wrong_rules_are_named(arguments, named):
    with pytest.raises(kbs.UserError, match=named):
        WordRules(**arguments)
