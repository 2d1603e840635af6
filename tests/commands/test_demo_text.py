import csv
import math
from collections import Counter
from pathlib import Path

import pytest

from keras_bert_scratch.commands.demo_text import write_demo_text

LABELS = ("original", "swapped")


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "text"
    write_demo_text(folder, fraction=0.03, num_labelled=50, num_order=200)
    return folder


def table(file: Path) -> list[tuple[str, str]]:
    with file.open(newline="") as stream:
        return [(row["text"], row["label"]) for row in csv.DictReader(stream)]


def test_no_review_is_in_train_and_held_out(text):
    train, held_out = table(text / "train.csv"), table(text / "held_out.csv")
    assert len(train) == 50
    assert len(held_out) > 15
    assert not {review for review, _ in train} & {review for review, _ in held_out}
    pretraining = (text / "text/train/reviews.txt").read_text().split("\n\n")
    assert not set(pretraining) & {review for review, _ in held_out}
    documents = {
        folder: {document for file in (text / "text" / folder).iterdir() for document in file.read_text().split("\n\n")}
        for folder in ("train", "held_out")
    }
    assert not documents["train"] & documents["held_out"]


def test_reviews_are_clean(text):
    reviews = [review for name in ("train", "held_out") for review, _ in table(text / f"{name}.csv")]
    assert not any("<br" in review or "\n" in review or "  " in review for review in reviews)
    assert len(set(reviews)) == len(reviews)
    assert {label for _, label in table(text / "train.csv")} == {"negative", "positive"}


def test_two_neighbours_are_swapped_in_every_second_sentence(text):
    reviews = {part: (text / "text" / part / "reviews.txt").read_text() for part in ("train", "held_out")}
    for part, other in (("train", "held_out"), ("held_out", "train")):
        rows = table(text / f"order_{part}.csv")
        originals = [sentence for sentence, label in rows if label == "original"]
        swapped = [sentence for sentence, label in rows if label == "swapped"]
        assert 0.4 < len(swapped) / len(rows) < 0.6
        # The text has no reviews of a single sentence, so not every original is found there.
        assert sum(sentence in reviews[part] for sentence in originals) > 0.5 * len(originals)
        assert not any(sentence in reviews[other] for sentence in originals)
        assert not any(sentence in reviews[part] for sentence in swapped)
        undone = 0
        for sentence in swapped:
            words = sentence.split()
            assert 6 <= len(words) <= 20
            once = (
                " ".join([*words[:place], words[place + 1], words[place], *words[place + 2 :]])
                for place in range(1, len(words) - 2)
            )
            undone += any(original in reviews[part] for original in once)
        assert undone > 0.5 * len(swapped)
    assert len(table(text / "order_train.csv")) == 200


def test_word_order_is_no_matter_of_single_words(text):
    """Both labels have the same words equally often, except by chance: a bag of words cannot tell them apart."""
    rows = table(text / "order_held_out.csv")
    counts = {label: Counter(w.lower() for s, found in rows if found == label for w in s.split()) for label in LABELS}
    totals = {label: sum(found.values()) for label, found in counts.items()}
    for word in ("the", "of", "and", "is"):
        shares = [counts[label][word] / totals[label] for label in LABELS]
        assert abs(shares[0] - shares[1]) < 5 * math.sqrt(sum(shares) / min(totals.values()))


@pytest.mark.slow
def test_the_split_is_fixed(text):
    write_demo_text(Path("again"), fraction=0.03, num_labelled=50, num_order=200)
    for file in text.rglob("*.*"):
        assert (Path("again") / file.relative_to(text)).read_bytes() == file.read_bytes()
