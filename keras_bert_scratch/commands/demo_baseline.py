"""The demo's baseline: what a bag of words makes of a table."""

from __future__ import annotations

from pathlib import Path

from keras_bert_scratch.tasks.data.tables import Column, TableReader


def tfidf_accuracy(train: Path, held_out: Path) -> float:
    """The accuracy of logistic regression on TF-IDF, at the best of nine settings by cross-validation on `train`.

    The settings: single words, pairs or triples of neighbours too; three strengths of regularisation.

    Args:
        train, held_out: Path. Tables with the columns `text` and `label`.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    steps = [("tfidf", TfidfVectorizer(sublinear_tf=True)), ("classifier", LogisticRegression(solver="liblinear"))]
    settings = {
        "tfidf__ngram_range": [(1, 1), (1, 2), (1, 3)],
        "classifier__C": [0.3, 3, 30],
    }
    search = GridSearchCV(Pipeline(steps), settings, cv=3).fit(*_columns(train))
    return float(search.score(*_columns(held_out)))


def _columns(table: Path) -> tuple[list[str], list[str]]:
    rows = [row.values for row in TableReader(table, [Column("text"), Column("label", kind="label")])]
    return [row["text"] for row in rows], [row["label"] for row in rows]
