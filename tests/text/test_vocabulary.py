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
        ("\n".join((*SPECIAL_TOKENS, "a", "a")), "'a' stands twice"),
        (b"\xff\xfe", r"vocab\.txt: is not a text file in UTF-8"),
        (None, r"vocab\.txt: no such vocabulary"),
    ],
    ids=["no mask", "twice", "not utf-8", "missing"],
)
def test_a_wrong_vocabulary_is_named(tmp_path, content, named):
    if content is not None:
        (tmp_path / "vocab.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(kbs.UserError, match=named):
        kbs.Vocabulary.load("vocab.txt")
