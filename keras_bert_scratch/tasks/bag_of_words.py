"""Bag-of-words baselines: TF-IDF and a linear model, to compare with a network's score."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NGRAMS = (1, 2)  # single words, and pairs of adjacent words
INVERSE_REGULARIZATION = 10.0  # scikit-learn's C; on SST-2 the best value from 0.3 to 30
MOST_CHARACTERS = 10_000_000  # of training text, so that fitting takes seconds
MOST_CHARACTERS_BY_LABELS = 50_000_000  # limit of characters times labels: each label is fitted separately

log = logging.getLogger(__name__)


def tfidf_of_columns(columns: int) -> Any:
    """A transformer of texts, an array `(rows, columns)`, into the TF-IDF of their words, fitted separately by column.

    The parameters of column 0 are named `0__ngram_range` and so on.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = [(str(column), TfidfVectorizer(sublinear_tf=True, ngram_range=NGRAMS), column) for column in range(columns)]
    return ColumnTransformer(words, sparse_threshold=1.0)


def logistic_regression() -> Any:
    """A logistic regression for sparse rows."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(solver="liblinear", C=INVERSE_REGULARIZATION)


def tfidf_probabilities(
    train: Mapping[str, Sequence[str]], given: np.ndarray, asked: Mapping[str, Sequence[str]]
) -> np.ndarray | None:
    """The probability of each label for the rows of `asked`, from one logistic regression per label.

    Args:
        train: columns of texts to train on. If they are long, a random subset of the rows is used.
        given: int `(rows, labels)`. 1 where a row has the label, else 0.
        asked: columns of texts to predict for.

    Returns: float `(rows of asked, labels)`; `None` if no training text has a word.

    Example:
        >>> train, given = {"text": ["good", "bad"]}, np.array([[1], [0]])
        >>> (tfidf_probabilities(train, given, {"text": ["so good", "bad"]}) > 0.5).tolist()
        [[True], [False]]
    """

    def probability(words: Any, given: np.ndarray, asked: Any) -> np.ndarray:
        if given.min() == given.max():  # a single class: nothing to learn
            return np.full(asked.shape[0], float(given[0]))
        return logistic_regression().fit(words, given).predict_proba(asked)[:, 1]

    if (found := _vectors(train, asked, given.shape[1])) is None:
        return None
    rows, words, of_asked = found
    return np.stack([probability(words, label, of_asked) for label in given[rows].T], axis=1)


def tfidf_regression(
    train: Mapping[str, Sequence[str]], numbers: np.ndarray, asked: Mapping[str, Sequence[str]]
) -> np.ndarray | None:
    """A number for each row of `asked`, from ridge regression; arguments as above, with `numbers` float `(rows,)`."""
    from sklearn.linear_model import Ridge

    if (found := _vectors(train, asked, 1)) is None:
        return None
    rows, words, of_asked = found
    return Ridge().fit(words, numbers[rows]).predict(of_asked)


def _vectors(
    train: Mapping[str, Sequence[str]], asked: Mapping[str, Sequence[str]], labels: int
) -> tuple[np.ndarray, Any, Any] | None:
    """The indices of the rows to train on, their TF-IDF and the TF-IDF of `asked`; `None` if they have no words."""
    rows = _some_rows(train, labels)
    names = [name for name in train if _has_words(train[name][row] for row in rows)]
    if not names:
        return None
    tfidf = tfidf_of_columns(len(names))
    return rows, tfidf.fit_transform(_table(train, names, rows)), tfidf.transform(_table(asked, names))


def _some_rows(train: Mapping[str, Sequence[str]], labels: int) -> np.ndarray:
    """The indices of all rows, or of a random subset that can be trained on in seconds."""
    lengths = np.sum([[len(text) for text in texts] for texts in train.values()], axis=0)
    order = np.random.default_rng(0).permutation(len(lengths))
    allowed = min(MOST_CHARACTERS, MOST_CHARACTERS_BY_LABELS / labels)
    number = max(1, np.searchsorted(np.cumsum(lengths[order]), allowed, side="right"))
    if number < len(lengths):
        log.warning(
            "the bag-of-words baseline is trained on %s of %s rows, to limit its time",
            f"{number:,}",
            f"{len(lengths):,}",
        )
    return np.sort(order[:number])


def _has_words(texts: Any) -> bool:
    from sklearn.feature_extraction.text import TfidfVectorizer

    split = TfidfVectorizer().build_analyzer()
    return any(split(text) for text in texts)


def _table(raw: Mapping[str, Sequence[str]], names: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
    columns = np.array([raw[name] for name in names], dtype=object).T
    return columns if rows is None else columns[rows]
