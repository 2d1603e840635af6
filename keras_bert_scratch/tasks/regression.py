"""Regression: a score for a text or a pair of texts, such as the similarity of two sentences (STS-B)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from scipy import stats

from keras_bert_scratch.models.labels import REGRESSION
from keras_bert_scratch.tasks.bag_of_words import tfidf_regression
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import read_texts
from keras_bert_scratch.tasks.error_analysis import Breakdown, Scatter, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.text_task import TextTask

SCORE = Column("score", ("label",), kind="number", flag="label")


class Regression(TextTask):
    """A score for a text or a pair of texts, trained with squared error."""

    name = "regression"
    best_by = ("pearson", "max")
    method = "regress"
    problem_type = REGRESSION
    outputs: ClassVar = {"score": "the score"}

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        spec, table = read_texts(source, spec, SCORE, on_bad_row)
        digest, scores = table.sha256, table.columns.pop("score")
        gold = {"score": np.array(scores, np.float64)}
        return spec, Examples(table.path, table.columns, gold, digest, table.skipped)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return tf.cast(gold["score"], tf.float32), None

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {"num_classes": 1, "problem_type": REGRESSION}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        return {"score": outputs[:, 0]}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        true, predicted = np.asarray(gold["score"], np.float64), np.asarray(decoded["score"], np.float64)
        return {**correlations(true, predicted), "rmse": float(np.sqrt(np.mean((true - predicted) ** 2)))}

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        scores = train.gold["score"]
        found = {"mean": np.full(len(dev), scores.mean())}
        if (tfidf := tfidf_regression(train.raw, scores, dev.raw)) is not None:
            found["tfidf"] = tfidf
        return {name: self.score(spec, {"score": predicted}, dev.gold) for name, predicted in found.items()}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        return {"score": float(row["score"])}

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        difference = line["score"] - line["gold"]
        shown = {"gold": line["gold"], "answer": line["score"], "difference": difference}
        return WrongAnswer((abs(difference),), shown) if difference else None

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        return Scatter([line["gold"] for line in lines], [line["score"] for line in lines])


def correlations(true: Sequence[float], predicted: Sequence[float]) -> dict[str, float | None]:
    """Pearson and Spearman correlations; `None` if all numbers on one side are equal, as both are undefined then.

    Example:
        >>> correlations([1.0, 2.0, 4.0], [0.0, 1.0, 9.0])["spearman"], correlations([1.0, 2.0], [3.0, 3.0])["pearson"]
        (1.0, None)
    """
    true, predicted = np.asarray(true, np.float64), np.asarray(predicted, np.float64)
    if np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return {"pearson": None, "spearman": None}
    return {
        "pearson": float(stats.pearsonr(true, predicted).statistic),
        "spearman": float(stats.spearmanr(true, predicted).statistic),
    }


TASK = Regression()
