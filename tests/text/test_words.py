"""Words against Google's `BasicTokenizer`, over all of Unicode."""

import random
import sys
import unicodedata

import googles_tokenizer
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_bert_scratch.text.word_rules import WordRules
from keras_bert_scratch.text.words import split_words

CHARACTERS = [chr(c) for c in range(sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]
ASSIGNED = [c for c in CHARACTERS if unicodedata.category(c) not in ("Cn", "Co")]
# Characters with many rules: capital sigma, reordered marks, control characters, decomposed syllables, CJK.
DELICATE = (
    "aAbΣσς'.-\u0301\u0345 \u200d\u00ad\x01\x85\u2028ßİ\u1d15e각é豈北ี\u0941\u093f\u302e\U0001d15e\U0001d165\U00016ff0"
)
INVALID = [b"a\xff b", b"\xe2\x82", b"ok\xc3(", b"\xed\xa0\x80x", b"\xf8\x88\x80\x80\x80y", b"\xc0\xafz"]

WORDS = [
    # text, uncased, cased
    ("Héllo ÀÉ", "hello ae", "Héllo ÀÉ"),
    ("a\tb\nc\u2028d", "a b c d", "a b c d"),
    ("a\u200bb\x00c\ufffdd", "abcd", "abcd"),
    ("½ ™ ﬁ ß Ⅷ İ （）´°", "½ ™ ﬁ ß ⅷ i （ ） ´°", "½ ™ ﬁ ß Ⅷ İ （ ） ´°"),
    ("ΟΔΟΣ Σ", "οδος σ", "ΟΔΟΣ Σ"),
    ("it's 5%, 北京a\u00a0b", "it ' s 5 % , 北 京 a b", "it ' s 5 % , 北 京 a b"),
    ("각", "\u1100\u1161\u11a8", "각"),
]


def spelled(texts: list, lowercase: bool) -> list[list[str]]:
    words = split_words(tf.constant(texts, tf.string), WordRules(lowercase))
    rows = tf.RaggedTensor.from_row_splits(words.spelled(), words.text_splits)
    return [[word.decode() for word in row] for row in rows.to_list()]


@pytest.mark.parametrize(("text", "uncased", "cased"), WORDS)
def test_words(text, uncased, cased):
    assert spelled([text], True) == [uncased.split()]
    assert spelled([text], False) == [cased.split()]


def wrong_around(characters: list[str], lowercase: bool) -> list[tuple[str, list[str]]]:
    """Texts with each character alone and between letters whose words differ from Google's, and our words."""
    texts = [f"a{c}B {c}" for c in characters]
    ours = [row for at in range(0, len(texts), 65536) for row in spelled(texts[at : at + 65536], lowercase)]
    pairs = zip(texts, ours, strict=True)
    return [(text, words) for text, words in pairs if words != googles_tokenizer.words(text, lowercase)]


@pytest.mark.parametrize("lowercase", slow_but([True], [True, False]))
def test_every_assigned_character(lowercase):
    assert wrong_around(ASSIGNED, lowercase) == []


@pytest.mark.slow
@pytest.mark.parametrize("lowercase", [True, False])
def test_every_code_point(lowercase):
    assert wrong_around(CHARACTERS, lowercase) == []


def agree(texts: list[str], lowercase: bool) -> None:
    assert spelled(texts, lowercase) == [googles_tokenizer.words(text, lowercase) for text in texts]


def random_texts(rng: random.Random, count: int) -> list[str]:
    pools = (CHARACTERS, ASSIGNED, DELICATE, DELICATE)
    return ["".join(rng.choices(rng.choice(pools), k=rng.randrange(20))) for _ in range(count)]


@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(DELICATE))), min_size=1))
@settings(max_examples=150, deadline=None)
def test_any_text_of_unicode(texts):
    for lowercase in (True, False):
        agree(texts, lowercase)


@pytest.mark.parametrize("lowercase", [True, False])
def test_random_text(lowercase):
    agree(random_texts(random.Random(1), 5000), lowercase)


@pytest.mark.slow
@pytest.mark.parametrize("lowercase", [True, False])
def test_a_million_random_texts(lowercase):
    rng = random.Random(2)
    for _ in range(200):
        agree(random_texts(rng, 5000), lowercase)


def test_bytes_that_are_no_utf8_are_passed_over():
    assert spelled(INVALID, False) == [googles_tokenizer.words(text, False) for text in INVALID]
