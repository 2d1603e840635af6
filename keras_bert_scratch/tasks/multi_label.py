"""Multi-label classification: any number of labels for a text or a pair of texts, each decided by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from sklearn import metrics

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.labels import MULTI_LABEL
from keras_bert_scratch.tasks.data.labels import label_order
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import check_labels, read_texts
from keras_bert_scratch.tasks.error_analysis import Breakdown, ByLabel, WrongAnswer
from keras_bert_scratch.tasks.task import Examples, Features, Spec
from keras_bert_scratch.tasks.text_task import TextTask

LEAST_PROBABILITY = 1e-7  # what float32 can tell from 0 beside 1

LABELS = Column("labels", ("label",), kind="labels", flag="label")


@dataclasses.dataclass(frozen=True)
class MultiLabelOptions:
    """Options of multi-label classification.

    Args:
        threshold: float, default 0.5. The probability from which on a label counts as given.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"`threshold`: is a probability, above 0 and below 1, not {self.threshold}")


class MultiLabel(TextTask):
    """Any number of labels for a text or a pair of texts: a sigmoid and a binary cross-entropy for each label."""

    name = "multi-label"
    best_by = ("f1_micro", "max")
    problem_type = MULTI_LABEL
    Options = MultiLabelOptions

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        spec, table = read_texts(source, spec, LABELS, on_bad_row)
        digest, rows = table.sha256, table.columns.pop("labels")
        if not spec.labels:
            spec = dataclasses.replace(spec, labels=label_order(name for row in rows for name in row))
            if not spec.labels:
                raise UserError(f"{table.path}: no row has a label; give some rows labels")
        check_labels(table, rows, spec.labels)
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
        """`labels`: the given ones, the surest first, then empty strings; `num_labels`: how many are given."""
        scores = tf.sigmoid(outputs)
        order = tf.argsort(scores, axis=-1, direction="DESCENDING", stable=True)
        num_labels = tf.reduce_sum(tf.cast(scores >= spec.options["threshold"], tf.int32), axis=-1)
        given = tf.range(len(spec.labels)) < num_labels[:, None]
        labels = tf.where(given, tf.gather(tf.constant(spec.labels), order), "")
        return {"labels": labels, "num_labels": num_labels, "scores": scores}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        true, predicted = gold["labels"], (decoded["scores"] >= spec.options["threshold"]).astype(np.int32)

        def f1(average: str | None) -> Any:
            return metrics.f1_score(true, predicted, average=average, zero_division=0.0)

        return {
            "f1_micro": float(f1("micro")),
            "f1_macro": float(f1("macro")),
            # A row without labels that is answered with none counts 0, as in scikit-learn.
            "f1_samples": float(f1("samples")),
            "accuracy": float(np.mean(np.all(true == predicted, axis=1))),
            "f1_by_label": dict(zip(spec.labels, map(float, f1(None)), strict=True)),
        }

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        labels = list(row["labels"][: row["num_labels"]])
        return {"labels": labels, "scores": dict(zip(spec.labels, map(float, row["scores"]), strict=True))}

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> list[str]:
        return [label for label, given in zip(spec.labels, gold["labels"], strict=True) if given]

    def wrong(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """The severity is the row's binary cross-entropy, the mean over labels."""
        right, given = set(line["gold"]), set(line["labels"])
        if right == given:
            return None
        of_truth = [score if label in right else 1 - score for label, score in line["scores"].items()]
        loss = float(np.mean(-np.log(np.maximum(of_truth, LEAST_PROBABILITY))))
        shown = [", ".join(sorted(labels)) or "none" for labels in (right, given)]
        return WrongAnswer((loss,), {"gold": shown[0], "answer": shown[1], "loss": loss})

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        return ByLabel.of(spec.labels, (set(line["gold"]) for line in lines), (set(line["labels"]) for line in lines))


TASK = MultiLabel()
