"""Regression: a score for a text or a pair of texts, such as how alike two sentences are (STS-B)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import stats

from keras_bert_scratch.models.labels import REGRESSION
from keras_bert_scratch.tasks.bag_of_words import numbers_by_words
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import read_texts
from keras_bert_scratch.tasks.task import Examples, Features, Spec
from keras_bert_scratch.tasks.text_task import TextTask

SCORE = Column("score", ("label",), kind="number", flag="label")


class Regression(TextTask):
    """A score for a text or a pair of texts, by squared error."""

    name = "regression"
    best_by = ("pearson", "max")
    problem_type = REGRESSION

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        spec, table = read_texts(source, spec, SCORE, on_bad_row)
        digest, scores = table.sha256, table.columns.pop("score")
        gold = {"score": np.array(scores, np.float32)}
        return spec, Examples(table.path, table.columns, gold, digest, table.skipped)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return gold["score"], None

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {"num_classes": 1, "problem_type": REGRESSION}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        return {"score": outputs[:, 0]}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        true, predicted = np.asarray(gold["score"], np.float64), np.asarray(decoded["score"], np.float64)
        constant = np.ptp(true) == 0 or np.ptp(predicted) == 0  # then a correlation is undefined
        return {
            "pearson": None if constant else float(stats.pearsonr(true, predicted).statistic),
            "spearman": None if constant else float(stats.spearmanr(true, predicted).statistic),
            "rmse": float(np.sqrt(np.mean((true - predicted) ** 2))),
        }

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        scores = train.gold["score"]
        found = {"mean": np.full(len(dev), scores.mean())}
        if (tfidf := numbers_by_words(train.raw, scores, dev.raw)) is not None:
            found["tfidf"] = tfidf
        return {name: self.score(spec, {"score": predicted}, dev.gold) for name, predicted in found.items()}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"score": float(row["score"])}


TASK = Regression()
