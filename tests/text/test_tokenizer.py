"""Tokens against Google's `FullTokenizer`: with vocabularies that show every character, and with random ones."""

import copy
import functools
import pickle
import random
import unicodedata
from pathlib import Path

import googles_tokenizer
import keras
import keras_nlp
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from hypothesis import given, settings
from hypothesis import strategies as st

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.word_rules import GOOGLES_MAX_WORD_LENGTH

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"

# The same few words about a river and a mill, in scripts that separate, case, join and mark letters differently.
SCRIPTS = {
    "Latin": "Die Straße zur Mühle führt über den Fluß; ŒUVRE, Çeşme, İstanbul, Łódź — «d’été».",
    "Greek": "Ο ΜΥΛΟΣ ΤΗΣ ΟΔΟΥ, ὁ ποταμός· Ἀθῆναι, ᾠδή; Σίσυφος.",
    "Cyrillic": "Мельница у реки. Ёжик, Їжак, й; ѣ.",
    "Armenian": "Գետի մոտ ջրաղաց կա։ Եւրոպա, և։",
    "Georgian": "წისქვილი მდინარესთან. ᲛᲓᲘᲜᲐᲠᲔ",
    "Hebrew": "הַטַּחֲנָה עַל הַנָּהָר; שָׁלוֹם־רַב.",
    "Arabic": "الطَّاحونةُ عندَ النَّهرِ، أُستاذ؟ آخر ﷲ ﻻ.",
    "Devanagari": "नदी के पास चक्की है। क़िला, ज़मीन १२३",
    "Bengali": "নদীর ধারে কল আছে। কোথায় ড়ঢ়",
    "Tamil": "ஆற்றங்கரையில் ஒரு ஆலை உள்ளது. கொக்கு",
    "Thai": "โรงสีอยู่ริมแม่น้ำ ๑๒๓",
    "Khmer": "រោងម៉ាស៊ីននៅក្បែរទន្លេ។",
    "Burmese": "မြစ်ကမ်းနား၌ စက်ရုံရှိသည်။",
    "Tibetan": "ཆུ་འགྲམ་ན་འཁོར་ལོ་ཡོད།",
    "Ethiopic": "ወፍጮው በወንዙ አጠገብ ነው።",
    "Hangul": "강가에 방앗간이 있다. ㄱㄴ",
    "Japanese": "川のそばに水車がある。ガラス、ﾊﾟﾝ「々」",
    "Chinese": "河边有一座磨坊，（很旧）！㐀𠀀豈",
    "Vietnamese": "Cối xay ở bên bờ sông, đường Nguyễn.",
    "symbols": "½ ™ ﬁ ß Ⅷ İ （ ） ´ ° 👩‍👩‍👧 🇩🇪 e\u0301 \ufeffx \ufffd a\u00adb ＡＢ！",
}


def revealing_vocabulary(texts: list[str]) -> kbs.Vocabulary:
    """Every character of the texts in every form that a tokenizer might give it, at a word's start and inside."""
    every = set()
    for text in texts:
        for form in ("NFC", "NFD", "NFKC", "NFKD"):
            for cased in (text, text.lower(), text.casefold(), text.upper()):
                every.update(unicodedata.normalize(form, cased))
    characters = sorted(c for c in every if not c.isspace())
    return kbs.Vocabulary((*SPECIAL_TOKENS, *characters, *(f"##{c}" for c in characters)))


OFFSETS = "Déjà½, 北京! e\u0301té Σας 각"
VOCABULARY = revealing_vocabulary([*SCRIPTS.values(), OFFSETS])
PIECES = ["un", "##aff", "##able", "a", "##b", "b", "[", "mask", "]", ",", "[unused1]", "unused", "##1"]
SMALL = kbs.Vocabulary((*SPECIAL_TOKENS, *PIECES))


@functools.cache
def tokenizer_of(vocabulary: kbs.Vocabulary, lowercase: bool) -> kbs.BertTokenizer:
    return kbs.BertTokenizer(vocabulary, lowercase)


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def both(request, tmp_path_factory) -> tuple[kbs.BertTokenizer, googles_tokenizer.Judge]:
    """Our tokenizer and Google's, with the same vocabulary and casing."""
    judge = googles_tokenizer.Judge(VOCABULARY, request.param, tmp_path_factory.mktemp("judge"))
    return tokenizer_of(VOCABULARY, request.param), judge


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(both, script):
    ours, judge = both
    rng = random.Random(0)
    words = SCRIPTS[script].split()
    texts = [SCRIPTS[script], *("".join(rng.choices(SCRIPTS[script], k=30)) for _ in range(200)), *words]
    assert ours.tokenize(texts).to_list() == [judge.ids(text) for text in texts]


@given(st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aB'Σ ­\x01é")))))
@settings(max_examples=40, deadline=None)
def test_any_text_of_unicode(tmp_path_factory, texts):
    for lowercase in (True, False):
        judge = googles_tokenizer.Judge(VOCABULARY, lowercase, tmp_path_factory.getbasetemp())
        assert tokenizer_of(VOCABULARY, lowercase).tokenize(texts).to_list() == [judge.ids(text) for text in texts]


@pytest.mark.parametrize("seed", slow_but([0, 1], range(4)))
def test_random_vocabularies(seed, tmp_path):
    """Pieces that overlap, contain punctuation or are never used; texts of the same letters, some of them plain."""
    rng = random.Random(seed)
    letters = "ab'.#-—é北"
    for _ in range(5):
        pieces = {rng.choice(["", "##"]) + "".join(rng.choices(letters, k=rng.randint(1, 4))) for _ in range(30)}
        vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, *sorted({*pieces, "a", "don't", "...", "[unused0]"})))
        lowercase = rng.random() < 0.5
        judge = googles_tokenizer.Judge(vocabulary, lowercase, tmp_path)
        texts = ["".join(rng.choices(letters + " abAB[]\x01", k=rng.randrange(16))) for _ in range(200)]
        expected = [judge.ids(text) for text in texts]
        assert kbs.BertTokenizer(vocabulary, lowercase).tokenize(texts).to_list() == expected


@pytest.mark.parametrize("letter", "aé北𝒜")
@pytest.mark.parametrize("length", [*(GOOGLES_MAX_WORD_LENGTH + more for more in (-1, 0, 1)), 900])
def test_long_words(letter, length, tmp_path):
    vocabulary = kbs.Vocabulary((*SPECIAL_TOKENS, letter, f"##{letter}"))
    judge = googles_tokenizer.Judge(vocabulary, False, tmp_path)
    texts = [letter * length, f"a {letter * length} b", f"é{letter * (length - 1)}"]
    assert kbs.BertTokenizer(vocabulary, False).tokenize(texts).to_list() == [judge.ids(text) for text in texts]


TEXTS = [*SCRIPTS.values(), "plain text, nothing else.", "", " ", "x" * 300]


@pytest.mark.parametrize("lowercase", [True, False])
def test_the_same_ids_eagerly_in_a_dataset_and_exported(lowercase):
    tokenizer = kbs.BertTokenizer(VOCABULARY, lowercase)
    expected = tokenizer.tokenize(TEXTS).to_list()
    in_dataset = tf.data.Dataset.from_tensor_slices(TEXTS).batch(5).map(tokenizer.tokenize)
    assert [row for rows in in_dataset for row in rows.to_list()] == expected

    archive = keras.export.ExportArchive()
    archive.track(tokenizer)
    signature = [tf.TensorSpec([None], tf.string)]
    archive.add_endpoint("ids", lambda texts: tokenizer.tokenize(texts).to_tensor(-1), input_signature=signature)
    archive.write_out("exported", verbose=False)
    exported = tf.saved_model.load("exported").ids(tf.constant(TEXTS)).numpy()
    assert [[i for i in row if i >= 0] for row in exported.tolist()] == expected


def test_offsets_are_the_bytes_that_each_token_stands_for():
    tokenizer = tokenizer_of(VOCABULARY, True)
    ids, starts, limits = (row[0].numpy() for row in tokenizer.tokenize_with_offsets([OFFSETS]))
    stretches = [OFFSETS.encode()[start:limit].decode() for start, limit in zip(starts, limits, strict=True)]
    pieces = [VOCABULARY.tokens[i].removeprefix("##") for i in ids]
    assert pieces == [*"deja½,北京!eteσας", "\u1100", "\u1161", "\u11a8"]
    assert stretches == ["D", "é", "j", "à", "½", ",", "北", "京", "!", "e", "t", "é", "Σ", "α", "ς", "각", "각", "각"]


def test_tokenizers_that_are_equal_are_traced_once():
    tokens = (*SPECIAL_TOKENS, "heron", "##s")
    first, second = (kbs.BertTokenizer(kbs.Vocabulary(tokens, origin), True) for origin in ("a.txt", "b.txt"))
    assert second._graph is first._graph
    assert kbs.BertTokenizer(kbs.Vocabulary(tokens), False)._graph is not first._graph
    assert second.vocabulary.origin == "b.txt"


def test_the_graph_that_happens_to_make_a_tokenizer_does_not_own_it():
    tokens = (*SPECIAL_TOKENS, "otter", "##s")

    @tf.function(autograph=False)
    def ids(texts):
        return kbs.BertTokenizer(kbs.Vocabulary(tokens), True).tokenize(texts).flat_values

    assert ids(tf.constant(["Otters"])).numpy().tolist() == [5, 6]
    assert kbs.BertTokenizer(kbs.Vocabulary(tokens), True).tokenize(["otter otters"]).to_list() == [[5, 5, 6]]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tokenizer: pickle.loads(pickle.dumps(tokenizer))])
def test_a_used_tokenizer_can_be_copied_and_sent_to_another_process(tokenizer, copied):
    ids = tokenizer.tokenize(["The heron sleeps."]).to_list()
    assert copied(tokenizer).tokenize(["The heron sleeps."]).to_list() == ids


@given(
    st.lists(st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("aB'é 각北")), max_size=30))
)
@settings(max_examples=40, deadline=None)
def test_offsets_of_any_text(texts):
    """The same ids; offsets in order, inside the text; a token's own bytes, tokenized alone, give its letters again."""
    tokenizer = tokenizer_of(VOCABULARY, True)
    ids, starts, limits = tokenizer.tokenize_with_offsets(texts)
    assert ids.to_list() == tokenizer.tokenize(texts).to_list()
    for text, row, first, last in zip(texts, ids.to_list(), starts.to_list(), limits.to_list(), strict=True):
        assert all(0 <= start < limit <= len(text.encode()) for start, limit in zip(first, last, strict=True))
        assert first == sorted(first)
        assert last == sorted(last)
        for token, start, limit in zip(row, first, last, strict=True):
            stretch = tokenizer.tokenize([text.encode()[start:limit]]).to_list()[0]
            letters = {VOCABULARY.tokens[i].removeprefix("##") for i in stretch}
            assert token == VOCABULARY.id("[UNK]") or VOCABULARY.tokens[token].removeprefix("##") in letters


def test_offsets_of_unknown_and_overlong_words():
    tokenizer = kbs.BertTokenizer(SMALL, True)
    text = f"é un {'é' * 250} zebra"
    ids, starts, limits = (row[0].numpy().tolist() for row in tokenizer.tokenize_with_offsets([text]))
    assert ids == [1, 5, 1, 1]
    assert [text.encode()[start:limit].decode() for start, limit in zip(starts, limits, strict=True)] == text.split()


SPECIAL = [
    # text, tokens where special tokens mean something, tokens where they do not
    ("un [MASK] unable", "un [MASK] un ##able", "un [ mask ] un ##able"),
    ("a[MASK]b[SEP]", "a [MASK] b [SEP]", "a [ mask ] b [ [UNK] ]"),
    ("[mask] [MASK", "[ mask ] [ mask", "[ mask ] [ mask"),
    ("[unused1]", "[ unused ##1 ]", "[ unused ##1 ]"),
    ("a\x00b\x00[CLS]", "a ##b [CLS]", "a ##b [ [UNK] ]"),
    ("", "", ""),
]


@pytest.mark.parametrize(("text", "special", "plain"), SPECIAL)
def test_special_tokens_mean_something_only_on_request(text, special, plain):
    tokenizer = tokenizer_of(SMALL, True)
    texts = ["a", text, f"{text} a"]
    for asked, tokens in ((True, special), (False, plain)):
        rows = tokenizer.tokenize(texts, special_tokens=asked).to_list()
        assert [" ".join(SMALL.tokens[i] for i in row) for row in rows] == ["a", tokens, f"{tokens} a".strip()]


@pytest.mark.skipif(not SHARED_DATA.exists(), reason="needs the development data beside the checkout")
@pytest.mark.slow
@pytest.mark.parametrize("lowercase", [True, False])
def test_all_development_text(lowercase, tmp_path):
    """Every line of every file, with a vocabulary that was learned from it."""
    files = sorted(file for file in SHARED_DATA.rglob("*") if file.is_file())
    lines = [line for file in files for line in file.read_text("utf-8", "replace").split("\n") if line.strip()]
    vocabulary = kbs.learn_vocabulary(lines[::7], size=8000, lowercase=lowercase)
    judge = googles_tokenizer.Judge(vocabulary, lowercase, tmp_path)
    ours = tf.data.Dataset.from_tensor_slices(lines).batch(4096).map(kbs.BertTokenizer(vocabulary, lowercase).tokenize)
    rows = (row for batch in ours for row in batch.to_list())
    assert len(lines) > 100_000
    assert [line for line, row in zip(lines, rows, strict=True) if row != judge.ids(line)] == []


def test_agrees_with_keras_hub_on_plain_english(documents, vocabulary, tokenizer):
    theirs = keras_nlp.tokenizers.BertTokenizer(vocabulary=list(vocabulary.tokens), lowercase=True)
    texts = [*(sentence for document in documents for sentence in document), "it's unknown: zebra-stripes, 42!"]
    assert tokenizer.tokenize(texts).to_list() == [list(ids) for ids in theirs(texts)]


def test_detokenize_is_the_way_back(documents, tokenizer):
    text = documents[3][0]
    assert tokenizer.detokenize(tokenizer.tokenize([text])).numpy()[0].decode() == text.lower()
    assert tokenizer.detokenize([[2, 3]]).numpy()[0] == b"[CLS] [SEP]"


@pytest.mark.parametrize(("tokens", "cased"), [(("a", "b"), False), (("a", "Paris"), True)])
def test_casing_is_seen_in_the_vocabulary(tokens, cased):
    tokenizer = kbs.BertTokenizer(kbs.Vocabulary((*SPECIAL_TOKENS, *tokens)))
    assert tokenizer.lowercase is not cased
    tokenizer.save("model")
    assert kbs.BertTokenizer.load("model").lowercase is not cased


def test_casing_travels_even_against_the_vocabulary():
    kbs.BertTokenizer(kbs.Vocabulary((*SPECIAL_TOKENS, "Paris")), lowercase=True).save("model")
    assert kbs.BertTokenizer.load("model").lowercase is True


def test_what_is_no_list_of_texts_is_refused(tokenizer):
    for wrong in ("one text", [["a", "b"]]):
        with pytest.raises(kbs.UserError, match="list of texts"):
            tokenizer.tokenize(wrong)


def test_a_vocabulary_without_words_is_refused():
    with pytest.raises(kbs.UserError, match="is not a valid vocabulary"):
        kbs.BertTokenizer(kbs.Vocabulary((*SPECIAL_TOKENS, "##.a")))
