"""Multi-label classification: any number of labels for a text or a pair of texts, each decided independently."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from sklearn import metrics

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.labels import MULTI_LABEL
from keras_bert_scratch.tasks.bag_of_words import tfidf_probabilities
from keras_bert_scratch.tasks.data.labels import label_order
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import read_texts, with_known_labels
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByLabel, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.text_task import TextTask
from keras_bert_scratch.tasks.thresholds import PLAIN, best_threshold

LEAST_PROBABILITY = 1e-7  # about the resolution of float32 near 1
TUNED, TUNED_BY_LABEL = "tuned", "tuned-by-label"
LABELS = Column("labels", ("label",), kind="labels", flag="label")


@dataclasses.dataclass(frozen=True)
class MultiLabelOptions:
    """Options of multi-label classification.

    Args:
        threshold: float or str, default 0.5. The minimum probability of an assigned label. `"tuned"`: the threshold
            with the highest micro F1 on the dev data; `"tuned-by-label"`: for each label, the threshold with its
            highest F1 there. Both are tuned with the best epoch's model, which is selected at 0.5.
    """

    threshold: float | str = PLAIN

    def __post_init__(self) -> None:
        if self.threshold in (TUNED, TUNED_BY_LABEL):
            return
        try:
            threshold = float(self.threshold)
        except ValueError:
            threshold = 0.0
        if not 0 < threshold < 1:
            raise UserError(
                f"`threshold`: must be a probability above 0 and below 1, {TUNED} or {TUNED_BY_LABEL}, not "
                f"{self.threshold}"
            )
        object.__setattr__(self, "threshold", threshold)


class MultiLabel(TextTask):
    """Any number of labels for a text or a pair of texts: a sigmoid and a binary cross-entropy for each label."""

    name = "multi-label"
    best_by = ("f1_micro", "max")
    method = "classify"
    problem_type = MULTI_LABEL
    candidates_are_exclusive = False
    Options = MultiLabelOptions
    outputs: ClassVar = {
        "labels": "the predicted labels, most probable first, then empty strings",
        "num_labels": "the number of predicted labels",
        "scores": "the probability of each label, in the order of the labels",
    }

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        spec, table = read_texts(source, spec, LABELS, on_bad_row)
        if not spec.labels:
            spec = dataclasses.replace(
                spec, labels=label_order(name for row in table.columns["labels"] for name in row)
            )
            if not spec.labels:
                raise UserError(f"{table.path}: no row has a label; give some rows labels")
        table = with_known_labels(table, "labels", spec.labels, on_bad_row)
        digest, rows = table.sha256, table.columns.pop("labels")
        numbers = {name: number for number, name in enumerate(spec.labels)}
        gold = np.zeros((len(rows), len(spec.labels)), np.int32)
        for number, row in enumerate(rows):
            gold[number, [numbers[name] for name in row]] = 1
        return spec, Examples(table.path, table.columns, {"labels": gold}, digest, table.skipped)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        return gold["labels"], None

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {
            "num_classes": len(spec.labels),
            "problem_type": MULTI_LABEL,
            "label_names": spec.labels,
        }

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        """`labels`: the assigned ones, most probable first, then empty strings; `num_labels`: how many are assigned."""
        scores = tf.sigmoid(outputs)
        given = scores >= thresholds_of(spec)
        order = tf.argsort(tf.where(given, scores, -1.0), axis=-1, direction="DESCENDING", stable=True)
        num_labels = tf.reduce_sum(tf.cast(given, tf.int32), axis=-1)
        first = tf.range(len(spec.labels)) < num_labels[:, None]
        labels = tf.where(first, tf.gather(tf.constant(spec.labels), order), "")
        return {"labels": labels, "num_labels": num_labels, "scores": scores}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        true, predicted = gold["labels"], (decoded["scores"] >= thresholds_of(spec)).astype(np.int32)

        def f1(average: str | None) -> Any:
            # With an extra label that no row has: scikit-learn would read a single column as two classes.
            sides = (np.pad(labels, ((0, 0), (0, 1))) for labels in (true, predicted))
            return metrics.f1_score(*sides, average=average, zero_division=0.0)

        by_label = f1(None)[:-1]
        return {
            "f1_micro": float(f1("micro")),
            "f1_macro": float(np.mean(by_label)),
            # A row without labels counts 0 even if none is predicted, as in scikit-learn.
            "f1_samples": float(f1("samples")),
            "accuracy": float(np.mean(np.all(true == predicted, axis=1))),
            "f1_by_label": dict(zip(spec.labels, map(float, by_label), strict=True)),
        }

    def tuned_option(self, spec: Spec) -> str:
        return "threshold" if spec.options["threshold"] in (TUNED, TUNED_BY_LABEL) else ""

    def tuned(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> Spec:
        given, scores = gold["labels"], decoded["scores"]
        if spec.options["threshold"] == TUNED:
            threshold: Any = best_threshold(given.ravel(), scores.ravel())
        else:
            threshold = dict(zip(spec.labels, map(best_threshold, given.T, scores.T), strict=True))
        return dataclasses.replace(spec, options={**spec.options, "threshold": threshold})

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        given = train.gold["labels"]
        found = {"majority": np.tile(given.mean(axis=0) > 0.5, (len(dev), 1)).astype(np.float32)}
        if (tfidf := tfidf_probabilities(train.raw, given, dev.raw)) is not None:
            found["tfidf"] = tfidf
        return {name: self.score(spec, {"scores": scores}, dev.gold) for name, scores in found.items()}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        labels = list(row["labels"][: row["num_labels"]])
        return {"labels": labels, "scores": dict(zip(spec.labels, map(float, row["scores"]), strict=True))}

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        return {"": answer["scores"]}

    def chosen(self, answer: Mapping[str, Any]) -> list[str]:
        return answer["labels"]

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> list[str]:
        return [label for label, given in zip(spec.labels, gold["labels"], strict=True) if given]

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """The severity is the row's binary cross-entropy, averaged over the labels."""
        right, given = set(line["gold"]), set(line["labels"])
        if right == given:
            return None
        of_truth = [score if label in right else 1 - score for label, score in line["scores"].items()]
        loss = float(np.mean(-np.log(np.maximum(of_truth, LEAST_PROBABILITY))))
        shown = [", ".join(sorted(labels)) or "none" for labels in (right, given)]
        return WrongAnswer((loss,), {"gold": shown[0], "answer": shown[1], "loss": loss})

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        return ByLabel.of(spec.labels, (set(line["gold"]) for line in lines), (set(line["labels"]) for line in lines))


def thresholds_of(spec: Spec) -> np.ndarray:
    """The threshold of each label, float32 `(labels,)`; 0.5 until it is tuned."""
    threshold = spec.options["threshold"]
    if isinstance(threshold, Mapping):
        return np.array([threshold[label] for label in spec.labels], np.float32)
    return np.full(len(spec.labels), PLAIN if threshold in (TUNED, TUNED_BY_LABEL) else threshold, np.float32)


TASK = MultiLabel()
