"""What a model is trained on: an `Objective` for each of its losses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from keras import ops

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.losses import check_label_shape, cross_entropy, sigmoid_cross_entropy, squared_error

# Labels below 0 stand for "no label": Hugging Face's -100, the -1 of unlabelled test sets.


def _one_per_row(labels: Any, inputs: Any) -> Any:
    return ops.ones(ops.shape(labels)[:1])


def _no_check(labels: np.ndarray, output_shapes: Any) -> None:
    """Accepts all labels."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """One loss of a model, with its score. A model has a dict of them, `objectives`, by the names of their labels.

    Args:
        loss: callable. Maps `(labels, outputs)` to the loss and the score of every position, both float32 of one
            shape; `labels` are this objective's labels, `outputs` all outputs of the model, in the model's structure.
        score: str. Name of the score, such as `"accuracy"`.
        direction: `"max"` or `"min"`, default `"max"`. Whether higher or lower scores are better.
        finish: callable, default the identity. Maps the mean score over the positions to the reported score.
        loss_weight: float, default 1.0. Factor of this loss in the model's total loss.
        counts: callable, default 1 for each row. Maps `(labels, inputs)` to the weight of every position before sample
            weights, float32.
        check: callable, default none. Called with `(labels, output shapes)` by `fit` and `evaluate` for labels in
            arrays; raises `UserError` for invalid labels.
        of_classes: bool, default `False`. Whether every label is the index of a class.
        training_loss: callable or `None`, default `None`. The loss that training minimises, if it is not `loss`.

    Example:
        >>> def distance(labels, outputs):
        ...     error = ops.abs(labels - outputs["a"] - outputs["b"])
        ...     return error, error
        >>> objective = Objective(distance, score="distance", direction="min")
        >>> outputs = {"a": ops.array([1.0, 2.0]), "b": ops.array([1.0, 0.0])}
        >>> [float(total) for total in objective.sums(ops.array([2.0, 3.0]), outputs, ops.array([1.0, 2.0]))]
        [2.0, 2.0, 3.0]
    """

    loss: Callable[[Any, Any], tuple[Any, Any]]
    score: str
    direction: Literal["max", "min"] = "max"
    finish: Callable[[Any], Any] = lambda mean: mean
    loss_weight: float = 1.0
    counts: Callable[[Any, Any], Any] = _one_per_row
    check: Callable[[np.ndarray, Any], None] = _no_check
    of_classes: bool = False
    training_loss: Callable[[Any, Any], tuple[Any, Any]] | None = None

    def weights(self, labels: Any, inputs: Any, sample_weight: Any = None) -> Any:
        """The weight of every position, float32: sample weights (per row or per position) times `counts`."""
        counts = ops.cast(self.counts(labels, inputs), "float32")
        if sample_weight is None:
            return counts
        sample_weight = ops.cast(sample_weight, "float32")
        _check_weight_shape(sample_weight.shape, counts.shape)
        missing = len(counts.shape) - len(sample_weight.shape)
        if missing < 0:
            return counts * ops.reshape(sample_weight, ops.shape(counts))
        return counts * ops.reshape(sample_weight, (*ops.shape(sample_weight), *[1] * missing))

    def sums(self, labels: Any, outputs: Any, weights: Any, training: bool = False) -> tuple[Any, Any, Any]:
        """The weighted sums of loss and score, and the sum of the weights; positions of weight 0 are ignored."""
        loss = self.training_loss if training and self.training_loss else self.loss
        losses, scores = loss(labels, outputs)
        weights = ops.reshape(weights, ops.shape(losses))  # labels of rows may be (rows, 1)
        losses, scores = (ops.where(weights == 0, 0.0, values) for values in (losses, scores))
        return ops.sum(weights * losses), ops.sum(weights * scores), ops.sum(weights)


def by_objective(objectives: Mapping[str, Objective], labels: Any, sample_weight: Any) -> tuple[dict, dict]:
    """Labels and sample weights of a batch by objective name; `None` where there are no weights.

    Raises:
        UserError: an objective has no labels, or there are weights for an unknown objective.
    """
    if not isinstance(labels, Mapping):
        labels = dict.fromkeys(objectives, labels) if len(objectives) == 1 else {}
    if missing := [name for name in objectives if labels.get(name) is None]:
        named = ", ".join(map(repr, missing)) if any(missing) else "the model's output"
        raise UserError(f"`y`: has no labels for {named}")
    if not isinstance(sample_weight, Mapping):
        sample_weight = dict.fromkeys(objectives, sample_weight)
    if unknown := sample_weight.keys() - objectives.keys():
        known = f"its labels are {', '.join(objectives)}" if any(objectives) else "give the weights without a name"
        raise UserError(f"`sample_weight`: is for {min(unknown)!r}, but the model has no such labels; {known}")
    return {name: labels[name] for name in objectives}, {name: sample_weight.get(name) for name in objectives}


def classification_objective(
    output: str | None = None,
    loss_weight: float = 1.0,
    counts: Callable[[Any], Any] | None = None,
    label_smoothing: float = 0.0,
) -> Objective:
    """Softmax cross-entropy and accuracy, as weighted means over the positions, not over rows.

    A position whose label is negative has weight 0 in loss, accuracy and divisor.

    Args:
        output: str or `None`, default `None`. Name of the output with the logits; `None` if there is only one output.
        loss_weight: float, default 1.0. Factor of this loss in the model's total loss.
        counts: callable or `None`, default `None`. Maps the model's inputs to a tensor that is 0 at positions that
            never count, such as padding.
        label_smoothing: float, default 0.0. As in `cross_entropy`; applied in training only.
    """

    def positions(labels: Any, inputs: Any) -> Any:
        counting = _has_label(labels)
        if counts is None:
            return counting
        possible = ops.cast(ops.cast(counts(inputs), "bool"), "float32")
        return ops.reshape(counting, ops.shape(possible)) * possible  # labels of positions may be (rows, positions, 1)

    def check(labels: np.ndarray, output_shapes: Any) -> None:
        shape = _of(output_shapes, output)
        check_label_shape(labels.shape, shape[:-1])
        if labels.dtype.kind not in "iubf" or (labels.dtype.kind == "f" and not (labels == np.floor(labels)).all()):
            raise UserError(f"`y`: class labels must be whole numbers; these are {labels.dtype}, such as {labels[:1]}")
        number, highest = shape[-1], labels.max() if labels.size else -1
        if number is not None and highest >= number:
            raise UserError(f"`y`: the label {highest:.0f} is too high; the {number} classes are 0 to {number - 1}")

    def smoothed(labels: Any, outputs: Any) -> tuple[Any, Any]:
        return cross_entropy(labels, _of(outputs, output), label_smoothing)

    return Objective(
        lambda labels, outputs: cross_entropy(labels, _of(outputs, output)),
        score="accuracy",
        loss_weight=loss_weight,
        counts=positions,
        check=check,
        of_classes=True,
        training_loss=smoothed if label_smoothing else None,
    )


def multi_label_objective() -> Objective:
    """Sigmoid cross-entropy and `label_accuracy`, for rows with any number of labels: the mean over labels and rows.

    Labels are `(rows, classes)`, 1 or 0; a negative label has weight 0 in loss, accuracy and divisor.
    """
    return Objective(
        sigmoid_cross_entropy,
        score="label_accuracy",
        counts=lambda labels, inputs: _has_label(labels),
        check=lambda labels, shape: _check_numbers(labels, shape),
    )


def regression_objective() -> Objective:
    """Mean squared error over outputs and rows; the score is its root, `rmse`."""
    return Objective(
        squared_error,
        score="rmse",
        direction="min",
        finish=lambda mean: mean**0.5,
        counts=lambda labels, inputs: ops.ones_like(ops.cast(labels, "float32")),
        check=lambda labels, shape: _check_numbers(labels, shape[:-1] if shape[-1] == 1 else shape),
    )


def _of(outputs: Any, name: str | None) -> Any:
    return outputs if name is None else outputs[name]


def _has_label(labels: Any) -> Any:
    """1.0 where there is a label, that is, where it is not negative; bool labels are 0 or 1."""
    return ops.cast(ops.cast(labels, "float32") >= 0, "float32")


def _check_numbers(labels: np.ndarray, expected: Any) -> None:
    """Raises `UserError` for labels that are not numbers, or do not have the expected shape."""
    check_label_shape(labels.shape, expected)
    if labels.dtype.kind not in "iubf" or np.isnan(labels).any():
        raise UserError(f"`y`: labels must be numbers; these are {labels.dtype}, or some are missing (nan)")


def _check_weight_shape(weights: Any, counts: Any) -> None:
    """Raises `UserError` unless weights of this shape are weights per row or per position."""
    weights, counts = tuple(weights), tuple(counts)
    expected = counts + (1,) * (len(weights) - len(counts))
    if not all(weight in (None, 1, size) or size is None for weight, size in zip(weights, expected, strict=False)):
        raise UserError(f"`sample_weight`: weights of shape {weights} do not fit labels of shape {counts}")
