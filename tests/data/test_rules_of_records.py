"""Records of both formats store the word rules that they were made with; a tokenizer with other rules is refused."""

import json
from pathlib import Path

import pytest
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.google.writer import write_google_examples

OTHER_RULES = (
    {"lowercase": False},
    {"strip_accents": False},
    {"tokenize_chinese_chars": False},
    {"max_word_length": 100},
)
READERS = {"documents": kbs.PretrainingRecords, "examples": GoogleRecords}


def made_with(tokenizer: kbs.BertTokenizer, corpus: Path, form: str) -> None:
    kbs.build_records(corpus, tokenizer, "documents", num_shards=2)
    if form == "examples":
        write_google_examples("documents", "examples", 32, dupe_factor=1)


@pytest.mark.parametrize("form", READERS)
@pytest.mark.parametrize("rules", slow_but(OTHER_RULES[:1], OTHER_RULES), ids=lambda rules: next(iter(rules)))
def test_another_rule_is_refused_both_ways(form, rules, corpus, vocabulary):
    usual, other = (kbs.BertTokenizer(vocabulary, **{"lowercase": True, **given}) for given in ({}, rules))
    [(name, value)] = rules.items()
    made_with(other, corpus, form)
    assert READERS[form](form).tokenizer.rules == other.rules
    READERS[form](form, other)
    with pytest.raises(kbs.UserError, match=rf"{form}: .*made with other tokenizer settings \(.*{name}={value}"):
        READERS[form](form, usual)


@pytest.mark.parametrize("form", READERS)
def test_rules_beside_the_records_that_were_exchanged_are_refused(form, corpus, tokenizer):
    made_with(tokenizer, corpus, form)
    Path(form, "tokenizer_config.json").write_text(json.dumps({"lowercase": True, "max_word_length": 50}))
    with pytest.raises(kbs.UserError, match=r"lowercase=True\) than .*max_word_length=50"):
        READERS[form](form)


@pytest.mark.parametrize("form", READERS)
def test_the_manifest_names_only_rules_that_are_not_googles(form, corpus, tokenizer):
    made_with(tokenizer, corpus, form)
    assert "word_rules" not in json.loads(Path(form, "manifest.json").read_text())
