"""Classification: one label of several for a text or a pair of texts (Devlin et al. 2019, section 4.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from sklearn import metrics

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.labels import SINGLE_LABEL
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.tasks.bag_of_words import tfidf_probabilities
from keras_bert_scratch.tasks.data.labels import first_score, label_order
from keras_bert_scratch.tasks.data.long_texts import windows_of_texts
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import read_texts, with_known_labels
from keras_bert_scratch.tasks.error_analysis import Breakdown, Confusion, WrongAnswer
from keras_bert_scratch.tasks.examples import Examples, Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.text_task import TextTask

LONG_TEXTS = ("cut", "mean", "max")
LABEL = Column("label", ("labels",), kind="label")


@dataclasses.dataclass(frozen=True)
class ClassificationOptions:
    """Options of classification.

    Args:
        class_weights: str, default "none". The weight of an example in the training loss, by its label: `"none"`: all
            equal; `"balanced"`: higher for rarer labels (examples / (labels * examples of the label)); or a weight for
            each label, as in `"no=1,yes=3"`.
        label_smoothing: float, default 0.0. Fraction of the right label's target probability that the training loss
            spreads evenly over all labels (Szegedy et al. 2016, section 7). Evaluation does not smooth.
        long_texts: str, default "cut". How to read a text that is longer than a row. `"cut"` truncates it. `"mean"` and
            `"max"` split it into windows, which are all trained on the text's label; for the answer, their logits are
            pooled by their mean, or by the maximum of each label.
        overlap: int, default 32. Pieces that adjacent windows share; at most half a window is shared.
    """

    class_weights: str = "none"
    label_smoothing: float = 0.0
    long_texts: str = "cut"
    overlap: int = 32

    def __post_init__(self) -> None:
        if self.long_texts not in LONG_TEXTS:
            raise UserError(f"`long_texts`: {self.long_texts!r} is unknown; choose one of {', '.join(LONG_TEXTS)}")
        if self.overlap < 0:
            raise UserError(f"`overlap`: must be at least 0, not {self.overlap}")
        if not 0 <= self.label_smoothing < 1:
            raise UserError(f"`label_smoothing`: must be at least 0 and below 1, not {self.label_smoothing}")


class Classification(TextTask):
    """One label for a text or a pair of texts.

    Args:
        name: str, default "classification". The task's name.
        columns: tuple of str, default `()`. The columns that training data must have; if `()`, `text_pair` is optional.
    """

    best_by = ("accuracy", "max")
    method = "classify"
    problem_type = SINGLE_LABEL
    Options = ClassificationOptions
    outputs: ClassVar = {
        "label": "the most probable label",
        "scores": "the probability of each label, in the order of the labels",
    }

    def __init__(self, name: str = "classification", columns: tuple[str, ...] = ()) -> None:
        self.name = name
        self.required_columns = columns
        self.columns = columns or ("text",)

    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        spec, table = read_texts(source, spec, LABEL, on_bad_row, self.required_columns)
        if self.is_windowed(spec) and len(spec.columns) > 1:
            raise UserError(f"`long_texts`: works for single texts only, but {table.path} has pairs; leave it at 'cut'")
        if not spec.labels:
            labels = table.columns["label"]
            if (number := first_score(labels)) is not None:
                raise UserError(
                    f"{table.path}: {table.unit} {table.lines[number]} has the label {labels[number]!r}, which is a "
                    "score, not a class; train on scores with the task regression, or, if these are names of classes, "
                    "add a letter to each"
                )
            names = label_order(labels)
            if len(names) < 2:
                raise UserError(f"{table.path}: all labels are {names[0]!r}; a classifier needs at least two")
            options = {"class_weights": class_weights_of(spec.options.get("class_weights", "none"), labels, names)}
            spec = dataclasses.replace(spec, labels=names, options={**spec.options, **options})
        table = with_known_labels(table, "label", spec.labels, on_bad_row)
        digest, labels = table.sha256, table.columns.pop("label")
        numbers = {name: number for number, name in enumerate(spec.labels)}
        gold = np.array([numbers[label] for label in labels], np.int32)
        return spec, Examples(table.path, table.columns, {"label": gold}, digest, table.skipped)

    def is_windowed(self, spec: Spec) -> bool:
        return spec.options.get("long_texts", "cut") != "cut"

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        if not self.is_windowed(spec):
            return super().features(spec, tokenizer, raw, chosen)
        return windows_of_texts(spec, tokenizer, raw["text"], spec.options["overlap"], chosen)

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        labels = tf.gather(gold["label"], features.notes["row"]) if self.is_windowed(spec) else gold["label"]
        weights = spec.options.get("class_weights") if training else None
        return labels, None if weights is None else tf.gather(tf.constant(weights, tf.float32), labels)

    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        return {"num_classes": len(spec.labels), "label_names": spec.labels}

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        objective = classification_objective(label_smoothing=spec.options.get("label_smoothing", 0.0))
        score = "weighted_accuracy" if spec.options.get("class_weights") else objective.score
        return {"": dataclasses.replace(objective, score=score)}

    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, tf.Tensor]:
        if self.is_windowed(spec):
            pool = tf.math.segment_mean if spec.options["long_texts"] == "mean" else tf.math.segment_max
            outputs = pool(outputs, features.notes["row"])
        scores = tf.nn.softmax(outputs)
        return {"label": tf.gather(tf.constant(spec.labels), tf.argmax(scores, axis=-1)), "scores": scores}

    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        true, predicted = gold["label"], np.argmax(decoded["scores"], axis=-1)
        results = {"accuracy": float(np.mean(true == predicted))}
        if len(spec.labels) == 2:  # the F1 of the last label, such as 1 or "yes"
            results["f1"] = float(metrics.f1_score(true, predicted, pos_label=1, zero_division=0.0))
        for average in ("macro", "micro"):
            found = metrics.f1_score(true, predicted, labels=range(len(spec.labels)), average=average, zero_division=0)
            results[f"f1_{average}"] = float(found)
        constant = len(set(true.tolist())) < 2 or len(set(predicted.tolist())) < 2
        results["matthews"] = None if constant else float(metrics.matthews_corrcoef(true, predicted))
        return {**results, "majority": float(np.bincount(true).max() / len(true))}

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        given = np.eye(len(spec.labels))[train.gold["label"]]
        most_frequent = np.eye(len(spec.labels))[given.sum(axis=0).argmax()]
        found = {"majority": np.tile(most_frequent, (len(dev), 1))}
        of_two = len(spec.labels) == 2
        tfidf = tfidf_probabilities(train.raw, given[:, 1:] if of_two else given, dev.raw)
        if tfidf is not None:
            found["tfidf"] = np.hstack([1 - tfidf, tfidf]) if of_two else tfidf
        return {name: self.score(spec, {"scores": scores}, dev.gold) for name, scores in found.items()}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        scores = dict(zip(spec.labels, map(float, row["scores"]), strict=True))
        return {"label": row["label"], "score": max(scores.values()), "scores": scores}

    def candidates(self, answer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        return {"": answer["scores"]}

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> str:
        return spec.labels[gold["label"]]

    def wrong_answer(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        if line["label"] == line["gold"]:
            return None
        score = line["scores"][line["label"]]
        return WrongAnswer((score,), {"gold": line["gold"], "answer": line["label"], "score": score})

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown:
        return Confusion.of(spec.labels, (line["gold"] for line in lines), (line["label"] for line in lines))


def class_weights_of(asked: str, labels: Sequence[str], names: Sequence[str]) -> list[float] | None:
    """The weight of each label in the order of `names`, or `None` if all are equal.

    Example:
        >>> class_weights_of("balanced", ["a", "a", "a", "b"], ["a", "b"])
        [0.6666666666666666, 2.0]
    """
    if asked == "none":
        return None
    if asked == "balanced":
        return [len(labels) / (len(names) * labels.count(name)) for name in names]
    try:
        given = {name.strip(): float(weight) for name, _, weight in (part.rpartition("=") for part in asked.split(","))}
        weights = [given[name] for name in names]
    except (ValueError, KeyError):
        weights = []
    each_once = len(weights) == len(asked.split(","))
    if not each_once or not all(weight >= 0 and np.isfinite(weight) for weight in weights):
        example = ",".join(f"{name}=1" for name in names)
        raise UserError(f"`class_weights`: {asked!r} is unknown; write none, balanced or a number for each: {example}")
    if not any(weights):
        raise UserError(
            "`class_weights`: all are 0, so nothing would be learnt; give at least one label a weight above 0"
        )
    return weights


TASK = Classification()
