"""The demo's baseline: a bag-of-words classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.tasks.bag_of_words import logistic_regression, tfidf_of_columns
from keras_bert_scratch.tasks.data.tables import Column, TableReader


def tfidf_accuracy(train: Path, held_out: Path) -> float:
    """Returns the held-out accuracy of logistic regression on TF-IDF, at the best of nine settings.

    Cross-validation on `train` selects among n-grams of up to 1, 2 or 3 words and three strengths of regularisation.

    Args:
        train, held_out: Path. Tables with the columns `text` and `label`.
    """
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    settings = {
        "tfidf__0__ngram_range": [(1, 1), (1, 2), (1, 3)],
        "classifier__C": [0.3, 3, 30],
    }
    pipeline = Pipeline([("tfidf", tfidf_of_columns(1)), ("classifier", logistic_regression())])
    search = GridSearchCV(pipeline, settings, cv=3).fit(*_columns(train))
    return float(search.score(*_columns(held_out)))


def _columns(table: Path) -> tuple[np.ndarray, list[Any]]:
    rows = [row.values for row in TableReader(table, [Column("text"), Column("label", kind="label")])]
    return np.array([[row["text"]] for row in rows], dtype=object), [row["label"] for row in rows]
