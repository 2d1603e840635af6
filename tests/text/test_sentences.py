import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_bert_scratch.text.sentences import split_sentences

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
