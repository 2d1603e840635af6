import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_bert_scratch.text.sentences import split_sentences

SENTENCES = {
    "One. Two! Three? Four": ["One.", "Two!", "Three?", "Four"],
    "Mr. Hyde met Dr. Jekyll. They spoke.": ["Mr. Hyde met Dr. Jekyll.", "They spoke."],
    "The U.S. Congress met. J. Adams spoke.": ["The U.S. Congress met.", "J. Adams spoke."],
    '"Who?" she asked. "Me!"': ['"Who?"', "she asked.", '"Me!"'],
    "It cost 3.50 in all.": ["It cost 3.50 in all."],
    "今天下雨。明天呢？好！": ["今天下雨。", "明天呢？", "好！"],
    "他说：“好。”她走了。": ["他说：“好。”", "她走了。"],
    "  spaces   around.  \n": ["spaces   around."],
    "": [],
    " \xa0\n": [],
    '(Mr. X) "Dr. Y" “St. Z': ['(Mr. X) "Dr. Y" “St. Z'],
    "XMr. One. aJ. Two": ["XMr.", "One.", "aJ.", "Two"],
    "No. 5. Etc. A.B.c. Ends": ["No. 5.", "Etc.", "A.B.c.", "Ends"],
    'Said Mr." Then.': ['Said Mr."', "Then."],
    "。A. B": ["。", "A. B"],
    ". A": [".", "A"],
    ".A. Q": [".A.", "Q"],
    ".A. B Q": [".A.", "B Q"],
}


@pytest.mark.parametrize(("text", "sentences"), SENTENCES.items())
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(alphabet="ab .!?\"'A。\n", max_size=60))
@settings(max_examples=200, deadline=None)
def test_splitting_loses_nothing_but_white_space(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


def split_slowly(text: str) -> list[str]:
    """The same rule, slow but easy to follow: it searches the whole sentence for each end and each abbreviation."""
    end = re.compile(r"(?<=[.!?])[\"')\]”’]*\s+|(?<=[。！？；])[”’」』）]*\s*")
    words = "Mr|Mrs|Ms|Dr|St|Messrs|Prof|Rev|Gen|Col|Capt|Sen|Gov|No|vs|etc"
    abbreviation = re.compile(rf"(?:^|[\s(\"'“‘])(?:[A-Z](?:\.[A-Z])*|{words})\.$")
    sentences, start = [], 0
    for match in end.finditer(text):
        sentence = text[start : match.end()].strip()
        if sentence and not abbreviation.search(sentence):
            sentences.append(sentence)
            start = match.end()
    return [*sentences, *filter(None, [text[start:].strip()])]


PARTS = ["Mr.", "Mrs. ", "Messrs.", "vs. ", "etc.", "U.S. ", "A.B. ", *"ab .!?\"'()“”‘’A。；」\n\u3000\xa0"]


@given(st.lists(st.sampled_from(PARTS), max_size=25).map("".join))
@example(".\nA")
@settings(max_examples=500, deadline=None)
def test_the_quick_way_is_the_rule(text):
    assert split_sentences(text) == split_slowly(text)


def test_the_time_grows_with_the_text_and_not_with_its_square():
    """A long line without an end: in quadratic time, the second would take sixty-four times as long as the first."""
    took = []
    for size in (20_000, 160_000):
        start = time.process_time()
        assert len(split_sentences("J. " * size)) == 1
        took.append(time.process_time() - start)
    assert took[1] < 30 * took[0]
