import logging
import re

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

VOCABULARY = kbs.Vocabulary((*SPECIAL_TOKENS, "un", "##aff", "##able"))


def test_vocabulary_file_is_one_token_per_line(tmp_path):
    VOCABULARY.save("vocab.txt")
    assert (tmp_path / "vocab.txt").read_text().split("\n")[:6] == [*SPECIAL_TOKENS, "un"]
    assert kbs.Vocabulary.load("vocab.txt") == VOCABULARY
    assert kbs.Vocabulary.load("vocab.txt").sha256 == VOCABULARY.sha256


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"vocab\.txt: lacks \[MASK\]"),
        (b"\xff\xfe", r"vocab\.txt: is not a text file in UTF-8"),
        (None, r"vocab\.txt: no such vocabulary"),
    ],
    ids=["no mask", "not utf-8", "missing"],
)
def test_a_wrong_vocabulary_is_named(tmp_path, content, named):
    if content is not None:
        (tmp_path / "vocab.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kbs.UserError, match=named):
        kbs.Vocabulary.load("vocab.txt")


SPECIAL = "".join(f"{token}\n" for token in SPECIAL_TOKENS)
ODD_FILES = {
    # content, text, its ids, length
    "byte order mark": (f"\ufeff{SPECIAL}a\nb\n", "a b", [5, 6], 7),
    "Windows line ends": (f"{SPECIAL}a\nb\n".replace("\n", "\r\n"), "a b", [5, 6], 7),
    "repeated token": (f"{SPECIAL}a\nb\na\n##c\n", "a b ac", [7, 6, 7, 8], 9),
    "empty line": (f"{SPECIAL}a\n\nb\n", "a b", [5, 7], 8),
    "several empty lines": (f"{SPECIAL}\n\na\n\nb\n", "a b", [7, 9], 10),
    "empty lines at the end": (f"{SPECIAL}a\nb\n\n\n", "a b", [5, 6], 7),
    "blank in a token": (f"{SPECIAL}a\na b\nb\n", "a b a  b", [5, 7, 5, 7], 8),
    "special token on two lines": (f"[PAD]\n{SPECIAL}a\n", "a", [6], 7),
}


@pytest.mark.parametrize("kind", ODD_FILES)
def test_no_id_moves_whatever_a_line_holds(kind, tmp_path):
    content, text, ids, length = ODD_FILES[kind]
    (tmp_path / "vocab.txt").write_bytes(content.encode())
    tokenizer = kbs.BertTokenizer("vocab.txt", lowercase=True)
    assert len(tokenizer.vocabulary) == length
    assert tokenizer.tokenize([text]).to_list() == [ids]
    assert tokenizer._tokenize_any([text]).to_list() == [ids]
    tokenizer.save("saved")
    assert kbs.BertTokenizer.load("saved").vocabulary == tokenizer.vocabulary


@pytest.mark.parametrize("odd", ["\n", "\r", "a\rb", "a\nb", " a", "a ", "\u3000", "\u2028a"])
def test_a_token_that_no_line_can_hold_moves_no_id(odd, caplog):
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, "a", odd, "b"))
    kbs.BertTokenizer(vocabulary, lowercase=True).save("saved")
    (message,) = caplog.messages
    assert "vocab.txt: the tokens with the ids 6 hold a line break, or blanks at an end" in message
    loaded = kbs.BertTokenizer.load("saved")
    assert loaded.vocabulary.tokens == (*SPECIAL_TOKENS, "a", "", "b")
    assert loaded.vocabulary.sha256 == vocabulary.sha256
    assert loaded.tokenize(["a b"]).to_list() == kbs.BertTokenizer(vocabulary).tokenize(["a b"]).to_list() == [[5, 7]]


@pytest.mark.parametrize("last", ["", "\n"])
def test_the_hash_is_that_of_the_tokens_that_are_read_again(last):
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, "a", last))
    vocabulary.save("vocab.txt")
    assert kbs.Vocabulary.load("vocab.txt").tokens == (*SPECIAL_TOKENS, "a")
    assert kbs.Vocabulary.load("vocab.txt").sha256 == vocabulary.sha256


def test_a_repeated_token_is_logged(tmp_path, caplog):
    (tmp_path / "vocab.txt").write_text(f"{SPECIAL}a\nb\na\n")
    vocabulary = kbs.Vocabulary.load("vocab.txt")
    assert vocabulary.id("a") == 7
    (message,) = caplog.messages
    assert "vocab.txt: the token 'a' occurs twice; the tokenizer uses the id of its later line, 7;" in message


WORDS = tuple(f"w{number}" for number in range(200))


@pytest.mark.parametrize(
    ("tokens", "lowercase", "logged"),
    [
        (WORDS, True, None),
        ((*WORDS, "URL"), True, "1 of 201 tokens contain a capital letter, for example 'URL'; treated as uncased"),
        ((*WORDS, *(f"##W{number}" for number in range(10))), False, "10 of 210 .* treated as cased"),
        ((*WORDS, *(w.upper() for w in WORDS)), False, None),
        (("the", "The"), False, None),
    ],
    ids=["none", "one", "few", "half", "small"],
)
def test_casing_is_judged_by_how_many_tokens_hold_a_capital(tokens, lowercase, logged, caplog):
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, *tokens))
    with caplog.at_level(logging.WARNING):
        assert vocabulary.guess_lowercase() == lowercase
        assert kbs.BertTokenizer(vocabulary).lowercase == lowercase
    messages = {record.getMessage() for record in caplog.records}
    assert len(messages) == bool(logged)
    assert not logged or re.search(logged, messages.pop())
