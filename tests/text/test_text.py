import itertools
import random
import subprocess
import sys
import unicodedata

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_bert_scratch as kbs
from keras_bert_scratch.text.normalization import normalize, split_words
from keras_bert_scratch.text.packing import pack_segments, trimmed_lengths
from keras_bert_scratch.text.sentences import split_sentences
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.vocabulary_learning import learn_pieces

SENTENCES = {
    "One. Two! Three? Four": ["One.", "Two!", "Three?", "Four"],
    "Mr. Hyde met Dr. Jekyll. They spoke.": ["Mr. Hyde met Dr. Jekyll.", "They spoke."],
    "The U.S. Congress met. J. Adams spoke.": ["The U.S. Congress met.", "J. Adams spoke."],
    '"Who?" she asked. "Me!"': ['"Who?"', "she asked.", '"Me!"'],
    "It cost 3.50 in all.": ["It cost 3.50 in all."],
    "今天下雨。明天呢？好！": ["今天下雨。", "明天呢？", "好！"],
    "  spaces   around.  \n": ["spaces   around."],
    "": [],
}


@pytest.mark.parametrize(("text", "sentences"), SENTENCES.items())
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ab .!?\"'A。\n", max_size=60))
@settings(max_examples=200, deadline=None)
def test_splitting_loses_nothing_but_white_space(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


NORMALIZED = [
    # text, uncased, cased
    ("Héllo", "hello", "Héllo"),
    ("ÀÉÎõü", "aeiou", "ÀÉÎõü"),
    ("a\tb\nc", "a b c", "a b c"),
    ("a\u200bb\x00c\ufffdd", "abcd", "abcd"),  # zero width, control, replacement character
    ("½ ß Straße", "½ ß straße", "½ ß Straße"),  # BERT keeps these; compatibility folding would not
    ("ＡＢ（", "ａｂ（", "ＡＢ（"),
]


@pytest.mark.parametrize(("text", "uncased", "cased"), NORMALIZED)
def test_normalize(text, uncased, cased):
    assert normalize(tf.constant([text]), lowercase=True).numpy()[0].decode() == uncased
    assert normalize(tf.constant([text]), lowercase=False).numpy()[0].decode() == cased


def test_words():
    words = split_words(tf.constant(["it's 5%, 北京a\u00a0b"])).to_list()[0]
    assert [word.decode() for word in words] == ["it", "'", "s", "5", "%", ",", "北", "京", "a", "b"]


PIECES = ["un", "##aff", "##able", "a", "##b", "b", ",", "'", "北", "Un", "A", "héros", "heros"]
VOCABULARY = kbs.Vocabulary((*SPECIAL_TOKENS, *PIECES))
TOKENIZERS = {lowercase: kbs.BertTokenizer(VOCABULARY, lowercase) for lowercase in (False, True)}


def reference_tokens(text: str, lowercase: bool) -> list[str]:
    """BERT's tokenizer as Google's paper and README describe it, a character at a time, for plain text."""
    if lowercase:
        decomposed = unicodedata.normalize("NFD", text.lower())
        text = "".join(c for c in decomposed if unicodedata.category(c) != "Mn")
    words, word = [], ""
    for c in text:
        if c.isspace() or not c.isalnum() or "\u4e00" <= c <= "\u9fff":
            words += [word, "" if c.isspace() else c]
            word = ""
        else:
            word += c
    tokens = []
    for whole in filter(None, [*words, word]):
        pieces, start = [], 0
        while start < len(whole):
            ends = range(len(whole), start, -1)
            spelled = (("##" if start else "") + whole[start:end] for end in ends)
            piece = next((piece for piece in spelled if piece in VOCABULARY.tokens), None)
            if piece is None:
                pieces = ["[UNK]"]
                break
            pieces.append(piece)
            start += len(piece.removeprefix("##"))
        tokens += pieces
    return tokens


@given(st.lists(st.text(alphabet="abunffUAéÉ北, '\n", max_size=30), min_size=1, max_size=8), st.booleans())
@settings(max_examples=150, deadline=None)
def test_tokenizer_agrees_with_a_plain_reading_of_the_rule(texts, lowercase):
    ids = TOKENIZERS[lowercase].tokenize(texts)
    expected = [[VOCABULARY.id(token) for token in reference_tokens(text, lowercase)] for text in texts]
    assert ids.dtype == tf.int32
    assert ids.to_list() == expected


def test_tokenizer_agrees_with_keras_hub_on_plain_english(documents, vocabulary, tokenizer):
    keras_nlp = pytest.importorskip("keras_nlp", reason="keras-nlp comes with the test extra")
    theirs = keras_nlp.tokenizers.BertTokenizer(vocabulary=list(vocabulary.tokens), lowercase=True)
    texts = [*(sentence for document in documents for sentence in document), "it's unknown: zebra-stripes, 42!"]
    assert tokenizer.tokenize(texts).to_list() == [list(ids) for ids in theirs(texts)]


def test_tokenizer_gives_the_same_in_a_dataset(documents, tokenizer):
    texts = documents[0]
    inside = tf.data.Dataset.from_tensors(texts).map(tokenizer.tokenize).get_single_element()
    assert inside.to_list() == tokenizer.tokenize(texts).to_list()


def test_detokenize_is_the_way_back(documents, tokenizer):
    text = documents[3][0]
    back = tokenizer.detokenize(tokenizer.tokenize([text])).numpy()[0].decode()
    assert back.replace(" ", "") == text.lower().replace(" ", "")
    assert tokenizer.detokenize([[2, 3]]).numpy()[0] == b"[CLS] [SEP]"


@pytest.mark.parametrize(("tokens", "cased"), [(("a", "b"), False), (("a", "Paris"), True)])
def test_casing_is_seen_in_the_vocabulary(tokens, cased):
    tokenizer = kbs.BertTokenizer(kbs.Vocabulary((*SPECIAL_TOKENS, *tokens)))
    assert tokenizer.lowercase is not cased
    tokenizer.save("model")
    assert kbs.BertTokenizer.load("model").lowercase is not cased


def test_casing_travels_even_against_the_vocabulary():
    kbs.BertTokenizer(VOCABULARY, lowercase=True).save("model")
    assert kbs.BertTokenizer.load("model").lowercase is True


def test_a_single_text_is_refused(tokenizer):
    with pytest.raises(kbs.UserError, match="list of texts"):
        tokenizer.tokenize("one text")


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


def plain_pieces(word_counts: dict[str, int], size: int) -> list[str]:
    """The same rule without any bookkeeping: count all pairs anew before each join."""
    words = {word: [word[0], *("##" + c for c in word[1:])] for word in word_counts}
    pieces = sorted({piece for spelled in words.values() for piece in spelled})
    while len(pieces) < size:
        counts: dict[tuple[str, str], int] = {}
        for word, spelled in words.items():
            for pair in itertools.pairwise(spelled):
                counts[pair] = counts.get(pair, 0) + word_counts[word]
        if not counts or max(counts.values()) < 2:
            return pieces
        a, b = min(counts, key=lambda pair: (-counts[pair], pair))
        joined = a + b.removeprefix("##")
        if joined not in pieces:
            pieces.append(joined)
        for word, spelled in words.items():
            again = []
            for piece in spelled:
                if again and (again[-1], piece) == (a, b):
                    again[-1] = joined
                else:
                    again.append(piece)
            words[word] = again
    return pieces


@pytest.mark.parametrize("seed", range(5))
def test_learning_joins_the_most_frequent_pair(seed):
    chance = random.Random(seed)
    words = {"".join(chance.choices("abcd", k=chance.randint(1, 9))): chance.randint(1, 20) for _ in range(60)}
    assert learn_pieces(words, 60) == plain_pieces(words, 60)


def test_learning_gives_special_tokens_first_and_the_size_asked_for(documents):
    sentences = [sentence for document in documents for sentence in document]
    vocabulary = kbs.learn_vocabulary(sentences, size=120)
    assert vocabulary.tokens[:5] == SPECIAL_TOKENS
    assert len(vocabulary) == 120
    assert 1 not in kbs.BertTokenizer(vocabulary).tokenize(sentences).flat_values.numpy()  # no [UNK]


def test_learning_is_the_same_in_another_process(documents, vocabulary, tmp_path):
    """Python hashes strings anew in every process; the result may not depend on it."""
    (tmp_path / "text").write_text("\n".join(sentence for document in documents for sentence in document))
    script = "import keras_bert_scratch as k; print(k.learn_vocabulary(open('text'), 150).sha256)"
    seen = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert seen.split()[-1] == vocabulary.sha256


@pytest.mark.parametrize(
    ("texts", "size", "named"), [([], 100, "holds no words"), (["abcdefgh"], 10, "size: .* 13")], ids=["empty", "small"]
)
def test_learning_from_nothing_is_refused(texts, size, named):
    with pytest.raises(kbs.UserError, match=named):
        kbs.learn_vocabulary(texts, size)


def trimmed_one_by_one(a: int, b: int, room: int) -> tuple[int, int]:
    while a + b > room:
        a, b = (a - 1, b) if a > b else (a, b - 1)
    return a, b


@given(st.integers(0, 20), st.integers(0, 20), st.integers(2, 24))
@settings(max_examples=200, deadline=None)
def test_trimming_is_as_if_one_by_one(a, b, room):
    lengths = trimmed_lengths(tf.constant([a]), tf.constant([b]), room)
    assert tuple(int(length[0]) for length in lengths) == trimmed_one_by_one(a, b, room)


def packed_by_hand(a, b, length):
    cls, sep, pad = VOCABULARY.cls_id, VOCABULARY.sep_id, VOCABULARY.pad_id
    if b is None:
        tokens, segments = [cls, *a[: length - 2], sep], None
        segments = [0] * len(tokens)
    else:
        keep_a, keep_b = trimmed_one_by_one(len(a), len(b), length - 3)
        first, second = [cls, *a[:keep_a], sep], [*b[:keep_b], sep]
        tokens, segments = first + second, [0] * len(first) + [1] * len(second)
    rest = length - len(tokens)
    return tokens + [pad] * rest, segments + [0] * rest, [1] * len(tokens) + [0] * rest


rows = st.lists(st.lists(st.integers(5, 17), max_size=12), min_size=1, max_size=5)


@given(rows, st.booleans(), st.integers(5, 20))
@settings(max_examples=150, deadline=None)
def test_packing(a, with_b, length):
    b = [[6] * (index * 3) for index in range(len(a))] if with_b else None
    packed = pack_segments(
        tf.ragged.constant(a, dtype=tf.int32, ragged_rank=1),
        tf.ragged.constant(b, dtype=tf.int32, ragged_rank=1) if with_b else None,
        length,
        VOCABULARY,
    )
    for row, tokens in enumerate(a):
        expected = packed_by_hand(tokens, b[row] if with_b else None, length)
        for name, values in zip(("token_ids", "segment_ids", "padding_mask"), expected, strict=True):
            assert packed[name][row].numpy().tolist() == values, name
