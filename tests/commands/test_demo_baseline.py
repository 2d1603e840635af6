import csv
from pathlib import Path

import pytest

from keras_bert_scratch.commands.demo_baseline import tfidf_accuracy


@pytest.mark.parametrize(
    ("texts", "accuracy"),
    [
        ({"good": "a good film {}", "bad": "a bad film {}"}, 1.0),  # one word decides
        ({"good": "good not bad {}", "bad": "bad not good {}"}, 1.0),  # the order of two words decides
        ({"good": "film number {}", "bad": "film number {}"}, 0.5),  # nothing decides
    ],
)
def test_words_and_their_neighbours_tell(texts, accuracy):
    for part, numbers in (("train", range(30)), ("held_out", range(30, 60))):
        rows = [(text.format(f"n{number}"), label) for number in numbers for label, text in texts.items()]
        with Path(f"{part}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *rows])
    assert tfidf_accuracy(Path("train.csv"), Path("held_out.csv")) == accuracy
