"""Vocabulary and word rules, wherever a model's folder keeps them."""

import json
import re
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.json_fields import UnsupportedSettingError
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.vocabulary_files import has_vocabulary, read_vocabulary
from keras_bert_scratch.text.word_rules import WordRules

TOKENS = (*SPECIAL_TOKENS, "a", "##b")
LINES = "\n".join(TOKENS)
WORDPIECE = {"type": "WordPiece", "vocab": {token: number for number, token in enumerate(TOKENS)}}
KERAS = {"class_name": "BertTokenizer"}
FOLDERS = {
    # files, and the rules that they define
    "only tokens": ({"vocab.txt": LINES}, {}),
    "ours": ({"vocab.txt": LINES, "tokenizer_config.json": {"lowercase": False}}, {"lowercase": False}),
    "Hugging Face": (
        {"vocab.txt": LINES, "tokenizer_config.json": {"do_lower_case": False}},
        {"lowercase": False, "max_word_length": 100},
    ),
    "Hugging Face, every rule": (
        {
            "vocab.txt": LINES,
            "tokenizer_config.json": {
                "do_lower_case": True,
                "strip_accents": False,
                "tokenize_chinese_chars": False,
                "unk_token": {"content": "[UNK]", "lstrip": False},
            },
        },
        {"lowercase": True, "strip_accents": False, "tokenize_chinese_chars": False, "max_word_length": 100},
    ),
    "tokenizer.json": (
        {"tokenizer.json": {"model": WORDPIECE, "normalizer": {"lowercase": True, "strip_accents": None}}},
        {"lowercase": True, "max_word_length": 100},
    ),
    "tokenizer.json, every rule": (
        {
            "tokenizer.json": {
                "model": {**WORDPIECE, "max_input_chars_per_word": 50},
                "normalizer": {"lowercase": True, "strip_accents": False, "handle_chinese_chars": False},
                "pre_tokenizer": {"type": "BertPreTokenizer"},
                "post_processor": {"type": "BertProcessing"},
            },
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "strip_accents": None},
        },
        {"lowercase": True, "strip_accents": False, "tokenize_chinese_chars": False, "max_word_length": 50},
    ),
    "tokenizer.json without normalizer": (
        {"tokenizer.json": {"model": WORDPIECE, "normalizer": None}},
        {"max_word_length": 100},
    ),
    "Hugging Face, neither rules nor class": (
        {"vocab.txt": LINES, "config.json": {"model_type": "bert"}},
        {"max_word_length": 100},
    ),
    "KerasHub": (
        {
            "assets/tokenizer/vocabulary.txt": LINES,
            "tokenizer.json": {**KERAS, "config": {"lowercase": True, "strip_accents": False}},
        },
        {"lowercase": True, "strip_accents": False, "max_word_length": 100},
    ),
    "SavedModel": ({"assets/vocab.txt": LINES}, {}),
}


def fill(folder: Path, files: dict) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.mark.parametrize("kind", FOLDERS)
def test_where_they_are_kept(kind, tmp_path):
    files, rules = FOLDERS[kind]
    found = read_vocabulary(fill(tmp_path / "model", files))
    assert (found.vocabulary.tokens, found.rules, found.notes) == (TOKENS, rules, [])
    assert has_vocabulary(tmp_path / "model")
    tokenizer = kbs.BertTokenizer.load(tmp_path / "model")
    assert tokenizer.rules == WordRules(**{"lowercase": True, **rules})
    tokenizer.save(tmp_path / "saved")
    assert kbs.BertTokenizer.load(tmp_path / "saved").rules == tokenizer.rules


BLANK = (*TOKENS, "\u3000", " a", "c")
STRIPPED = "\n".join(BLANK)  # Google's and our readers strip its lines


@pytest.mark.parametrize("lines", [STRIPPED, "\n".join(BLANK[:-2])], ids=["all", "fewer lines"])
def test_lines_and_tokenizer_json_may_differ_in_blanks(lines, tmp_path):
    vocab = {token: number for number, token in enumerate(BLANK)}
    files = {"vocab.txt": lines, "tokenizer.json": {"model": {**WORDPIECE, "vocab": vocab}}}
    vocabulary = read_vocabulary(fill(tmp_path / "model", files)).vocabulary
    assert vocabulary.tokens == BLANK
    assert (vocabulary.id("a"), vocabulary.id("c")) == (5, 9)


ANOTHERS = {
    "tokenizer.json": {
        "model": {**WORDPIECE, "vocab": {token: number for number, token in enumerate(TOKENS[::-1])}},
        "normalizer": {"lowercase": False, "strip_accents": False},
    },
    "added_tokens.json": {"[NEW]": 7},
    "special_tokens_map.json": {"cls_token": "<s>"},
}


def test_what_another_program_left_beside_our_files_is_not_read(tmp_path):
    tokenizer = kbs.BertTokenizer(kbs.Vocabulary(TOKENS), lowercase=True)
    tokenizer.save(fill(tmp_path / "model", ANOTHERS))
    found = read_vocabulary(tmp_path / "model")
    assert (found.vocabulary.tokens, found.rules, found.notes) == (TOKENS, {"lowercase": True}, [])
    assert kbs.BertTokenizer.load(tmp_path / "model").rules == tokenizer.rules


ADDED = {"id": 7, "content": "[NEW]"}
WITHOUT_LAST = {**WORDPIECE, "vocab": {token: number for number, token in enumerate(TOKENS[:-1])}}
ADDED_TOKENS = {
    # files, the tokens from id 6 on
    "added_tokens.json": ({"vocab.txt": LINES, "added_tokens.json": {"[NEW]": 7}}, ("##b", "[NEW]")),
    "added_tokens.json, a row left out": (
        {"vocab.txt": LINES, "added_tokens.json": {"[NEW]": 8}},
        ("##b", "", "[NEW]"),
    ),
    "tokenizer.json": ({"tokenizer.json": {"model": WORDPIECE, "added_tokens": [ADDED]}}, ("##b", "[NEW]")),
    "in the middle": (
        {"tokenizer.json": {"model": WITHOUT_LAST, "added_tokens": [{"id": 6, "content": "##b"}]}},
        ("##b",),
    ),
    "decoder": (
        {"vocab.txt": LINES, "tokenizer_config.json": {"added_tokens_decoder": {"7": {"content": "[NEW]"}}}},
        ("##b", "[NEW]"),
    ),
    "a special token": (
        {"vocab.txt": LINES.replace("[MASK]", "x"), "added_tokens.json": {"[MASK]": 4, "[NEW]": 7}},
        ("##b", "[NEW]"),
    ),
    "another name for a row": ({"vocab.txt": LINES, "added_tokens.json": {"[NEW]": 6}}, ("[NEW]",)),
}


@pytest.mark.parametrize("kind", ADDED_TOKENS)
def test_added_tokens_have_their_ids(kind, tmp_path):
    files, tokens = ADDED_TOKENS[kind]
    found = read_vocabulary(fill(tmp_path / "model", files))
    assert found.vocabulary.tokens == (*TOKENS[:6], *tokens)
    (note,) = found.notes
    assert "added tokens" in note
    assert repr(tokens[-1]) in note


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"readme": ""}, "contains neither vocab.txt nor tokenizer.json"),
        ({"tokenizer.json": {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 9}}}}, "ids must be 0 to 1"),
        ({"tokenizer.json": {"model": {"type": "WordPiece", "vocab": {"a": 0, "b": 0}}}}, "without duplicates"),
        ({"tokenizer.json": {"model": {"vocab": [1]}}}, "tokenizer.json: is not in Hugging Face's format"),
        ({"tokenizer.json": {"model": []}}, "tokenizer.json: is not in Hugging Face's format"),
        ({"vocab.txt": LINES.replace("[MASK]\n", "")}, r"vocab.txt: lacks \[MASK\]"),
        ({"vocab.txt": LINES, "tokenizer_config.json": "{"}, "tokenizer_config.json: is not readable JSON"),
        ({"vocab.txt": LINES, "tokenizer_config.json": "[]"}, "tokenizer_config.json: should hold a JSON object"),
        ({"vocab.txt": LINES, "tokenizer_config.json": {"do_lower_case": "yes"}}, "model: `lowercase`: must be true"),
        ({"vocab.txt": LINES, "added_tokens.json": {"[NEW]": "last"}}, "model: its added tokens lack texts or ids"),
        ({"vocab.txt": LINES, "added_tokens.json": {"[NEW]": 900}}, "vocab.txt: its ids must be 0 to 7, without"),
        (
            {"vocab.txt": LINES.replace("a\n", "x\na\n"), "tokenizer.json": {"model": WORDPIECE}},
            "'a' has the id 5 in tokenizer.json, but 6 in vocab.txt; the files belong to different models",
        ),
    ],
)
def test_what_is_wrong_is_named(files, named, tmp_path):
    with pytest.raises(kbs.UserError, match=named):
        kbs.BertTokenizer.load(fill(tmp_path / "model", files))


def config(**values):
    return {"vocab.txt": LINES, "tokenizer_config.json": values}


def described(**values):
    return {"tokenizer.json": {"model": WORDPIECE, **values}}


@pytest.mark.parametrize(
    ("files", "named"),
    [
        (config(tokenizer_class="BertJapaneseTokenizer"), 'tokenizer_class is "BertJapaneseTokenizer"'),
        (config(never_split=["[X]"]), r'never_split is \["\[X\]"\]'),
        (config(do_basic_tokenize=False), "do_basic_tokenize is false"),
        (config(padding_side="left"), 'padding_side is "left"'),
        (config(truncation_side="left"), "truncation_side"),
        (config(unk_token="<unk>"), 'unk_token is "<unk>", and only "\\[UNK\\]" is supported; the tokenizer cannot'),
        (config(mask_token={"content": "<mask>"}), 'mask_token is "<mask>"'),
        ({"vocab.txt": LINES, "special_tokens_map.json": {"cls_token": "<s>"}}, "special_tokens_map.json: cls_token"),
        (described(model={**WORDPIECE, "type": "BPE"}), 'tokenizer.json: model: type is "BPE"'),
        (described(model={**WORDPIECE, "continuing_subword_prefix": "@@"}), "continuing_subword_prefix"),
        (described(normalizer={"type": "Sequence"}), 'tokenizer.json: normalizer: type is "Sequence"'),
        (described(pre_tokenizer={"type": "Whitespace"}), "pre_tokenizer: type"),
        (described(post_processor={"type": "RobertaProcessing"}), "post_processor: type"),
        (described(post_processor={"type": "TemplateProcessing", "pair": []}), "post_processor: pair"),
        (
            {"assets/vocab.txt": LINES, "tokenizer.json": {**KERAS, "config": {"split": False}}},
            "config: split is false",
        ),
    ],
)
def test_what_our_tokenizer_cannot_follow_is_refused_by_name(files, named, tmp_path):
    with pytest.raises(UnsupportedSettingError, match=named):
        kbs.BertTokenizer.load(fill(tmp_path / "model", files))


PARTS = {
    "normalizer": {"type": "BertNormalizer", "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing"},
}


def of_class(name, normalizer, **values):
    """A folder whose `tokenizer.json` has this normalizer, with a tokenizer of a class and its settings."""
    return config(tokenizer_class=name, **values) | described(
        **{**PARTS, "normalizer": {**PARTS["normalizer"], **normalizer}}
    )


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("null", [False, True])
def test_a_tokenizer_of_no_known_class_is_described_in_full(part, null, tmp_path):
    parts = {**PARTS, part: None}
    if not null:
        del parts[part]
    folder = fill(tmp_path / "model", config(tokenizer_class="TokenizersBackend") | described(**parts))
    with pytest.raises(UnsupportedSettingError, match=f"tokenizer.json: {part} is missing or null"):
        kbs.BertTokenizer.load(folder)
    fill(folder, config(tokenizer_class="BertTokenizer", do_lower_case=True))  # this class has all parts in its code
    assert kbs.BertTokenizer.load(folder).lowercase


GENERIC, BERTS = ("PreTrainedTokenizerFast", "TokenizersBackend"), ("BertTokenizer", "BertTokenizerFast", None)
PRECEDENCE = [
    # classes, normalizer, config, rules besides the length of words, note
    (
        GENERIC,
        {"lowercase": False},
        {"do_lower_case": True},
        {"lowercase": False},
        "config.json has lowercase=True, but by tokenizer.json it is False",
    ),
    (
        GENERIC,
        {},
        {"strip_accents": False},
        {"lowercase": True},
        "strip_accents=False, but by tokenizer.json it is True",
    ),
    (GENERIC, {}, {}, {"lowercase": True}, None),
    (
        BERTS,
        {"lowercase": False},
        {"do_lower_case": True},
        {"lowercase": True},
        "lowercase=False, but by tokenizer_config.json it is True",
    ),
    (BERTS, {"lowercase": False}, {}, {"lowercase": False}, "Hugging Face would lower-case texts"),
    (BERTS, {"lowercase": True}, {}, {"lowercase": True}, None),
    (
        BERTS,
        {"strip_accents": False},
        {"do_lower_case": True, "strip_accents": None},
        {"lowercase": True},
        "strip_accents=False, but by tokenizer_config.json it is True; the latter is used",
    ),
    (
        BERTS,
        {"handle_chinese_chars": False},
        {"do_lower_case": True},
        {"lowercase": True},
        "tokenize_chinese_chars=False, but by tokenizer_config.json it is True",
    ),
    (BERTS, {"strip_accents": True, "handle_chinese_chars": True}, {}, {"lowercase": True}, None),
]


@pytest.mark.parametrize(("classes", "normalizer", "values", "rules", "noted"), PRECEDENCE)
def test_the_class_decides_which_file_does(classes, normalizer, values, rules, noted, tmp_path):
    for name in classes:
        found = read_vocabulary(fill(tmp_path / str(name), of_class(name, normalizer, **values)))
        assert found.word_rules() == WordRules(**rules, max_word_length=100), name
        notes = [note for note in found.notes if "segment" not in note]
        assert len(notes) == bool(noted), notes
        assert not noted or re.search(noted, notes[0])


@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ({"tokenizer_class": "BertTokenizer", "model_input_names": ["input_ids", "attention_mask"]}, True),
        ({"tokenizer_class": "DistilBertTokenizer"}, True),
        ({"tokenizer_class": "DistilBertTokenizerFast", "model_input_names": ["input_ids", "token_type_ids"]}, False),
        ({"tokenizer_class": "MobileBertTokenizer"}, False),
        ({"model_input_names": None}, False),
    ],
)
def test_other_segments_of_pairs_are_noted(values, noted, tmp_path):
    notes = read_vocabulary(fill(tmp_path / "model", config(do_lower_case=True, **values))).notes
    assert ["gives both texts of a pair segment 0" in note for note in notes] == [True] * noted


def test_what_nobody_knows_and_what_contradicts_is_logged(tmp_path, caplog):
    files = config(do_lower_case=True, magic=3) | described(normalizer={"lowercase": False, "sorcery": 1})
    tokenizer = kbs.BertTokenizer.load(fill(tmp_path / "model", files))
    assert tokenizer.lowercase
    logged = "\n".join(record.getMessage() for record in caplog.records)
    assert "tokenizer_config.json: the field 'magic' is unknown" in logged
    assert "tokenizer.json: normalizer: the field 'sorcery' is unknown" in logged
    assert "tokenizer.json has lowercase=False, but by tokenizer_config.json it is True; the latter" in logged
