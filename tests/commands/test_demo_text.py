import csv
from pathlib import Path

import pytest

from keras_bert_scratch.commands.demo_text import write_demo_text


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "text"
    write_demo_text(folder, fraction=0.03, num_labelled=50)
    return folder


def table(file: Path) -> list[tuple[str, str]]:
    with file.open(newline="") as stream:
        return [(row["text"], row["label"]) for row in csv.DictReader(stream)]


def test_no_review_is_in_train_and_held_out(text):
    train, held_out = table(text / "train.csv"), table(text / "held_out.csv")
    assert len(train) == 50
    assert len(held_out) > 50
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


def test_the_split_is_fixed(text):
    write_demo_text(Path("again"), fraction=0.03, num_labelled=50)
    for file in text.rglob("*.*"):
        assert (Path("again") / file.relative_to(text)).read_bytes() == file.read_bytes()
