"""What a model is trained on: an `Objective` for each of its losses, and the losses themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
from keras import ops

from keras_bert_scratch.errors import UserError

# Labels below 0 stand for "no label": Hugging Face's -100, the -1 of unlabelled test sets.


def _one_per_row(labels: Any, inputs: Any) -> Any:
    return ops.ones(ops.shape(labels)[:1])


def _no_check(labels: np.ndarray, output_shapes: Any) -> None:
    """Accepts all labels."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """One loss of a model, with its score. A model has a dict of them, `objectives`, by the names of their labels.

    Args:
        loss: callable. `(labels, outputs)` to the loss and the score of every position, both float32 of one shape;
            `labels` are the objective's own, `outputs` everything that the model gives, as the model gives it.
        score: str. What the score is called, such as `"accuracy"`.
        direction: `"max"` or `"min"`, default `"max"`. Which scores are better.
        finish: callable, default the identity. What makes the reported score of the mean over the positions.
        loss_weight: float, default 1.0. Factor of this loss in the model's.
        counts: callable, default 1 for each row. `(labels, inputs)` to the weight of every position before sample
            weights, float32.
        check: callable, default none. `(labels, output shapes)`, raises `UserError` for labels that cannot be;
            called by `fit` and `evaluate` for labels in arrays.
        of_classes: bool, default `False`. Whether every label is the number of a class.
        training_loss: callable or `None`, default `None`. What training minimises in place of `loss`, if not the same.

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
        """The weight of every position, float32: sample weights (of rows or of positions) times `counts`."""
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
        """The weighted sums of loss and score, and the sum of the weights; a position without weight never counts."""
        loss = self.training_loss if training and self.training_loss else self.loss
        losses, scores = loss(labels, outputs)
        weights = ops.reshape(weights, ops.shape(losses))  # labels of rows may be (rows, 1)
        losses, scores = (ops.where(weights == 0, 0.0, values) for values in (losses, scores))
        return ops.sum(weights * losses), ops.sum(weights * scores), ops.sum(weights)


def by_objective(objectives: Mapping[str, Objective], labels: Any, sample_weight: Any) -> tuple[dict, dict]:
    """Labels and sample weights of a batch by the names of the objectives; `None` where there are no weights.

    Raises:
        UserError: an objective has no labels, or there are weights for something else.
    """
    if not isinstance(labels, Mapping):
        labels = dict.fromkeys(objectives, labels) if len(objectives) == 1 else {}
    if missing := [name for name in objectives if labels.get(name) is None]:
        named = ", ".join(map(repr, missing)) if any(missing) else "the model's output"
        raise UserError(f"`y`: has no labels for {named}")
    if not isinstance(sample_weight, Mapping):
        sample_weight = dict.fromkeys(objectives, sample_weight)
    if unknown := sample_weight.keys() - objectives.keys():
        known = f"its labels are those of {', '.join(objectives)}" if any(objectives) else "give them without a name"
        raise UserError(f"`sample_weight`: is for {min(unknown)!r}, of which the model has no labels; {known}")
    return {name: labels[name] for name in objectives}, {name: sample_weight.get(name) for name in objectives}


def cross_entropy(labels: Any, logits: Any, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """-log softmax(logits)[label] of every position, and whether no other class has a higher logit.

    Args:
        labels: int `(...)` or `(..., 1)`. The loss is not a number where a label is `classes` or more, or a fraction.
        logits: float `(..., classes)`.
        label_smoothing: float, default 0.0. What part of the label's probability, which is 1, is spread evenly over all
            classes (Szegedy et al. 2016, section 7).

    Returns: both float32 `(...)`. What is given for a negative label means nothing.

    Raises:
        UserError: the shapes do not fit each other.

    Example:
        >>> loss, right = cross_entropy(ops.array([1, 0]), ops.array([[0.0, 0.0], [0.0, 5.0]]))
        >>> [round(float(value), 3) for value in loss], right.numpy().tolist()
        ([0.693, 5.007], [1.0, 0.0])
    """
    _check_shape(labels.shape, logits.shape[:-1])
    *shape, classes = ops.shape(logits)  # the classes may be positions, whose number the graph learns when it runs
    given = ops.reshape(ops.convert_to_tensor(labels), (-1,))
    labels, logits = ops.cast(given, "int32"), ops.reshape(logits, (-1, classes))
    possible = (labels < classes) & (ops.cast(labels, given.dtype) == given)
    labels = ops.clip(labels, 0, classes - 1)
    loss = ops.where(possible, _log_loss(labels, ops.cast(logits, "float32"), label_smoothing), float("nan"))
    chosen = ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1)[:, 0]
    right = ops.cast(ops.stop_gradient(chosen >= ops.max(logits, axis=-1)), "float32")
    return ops.reshape(loss, shape), ops.reshape(right, shape)


def _log_loss(labels: Any, logits: Any, smoothing: float) -> Any:
    """-sum(p log softmax(logits)) `(n,)` of float32 `(n, classes)`; its gradient is softmax less p.

    p is 1 at the label, or with smoothing 1 - smoothing, to which each class adds smoothing / classes. The gradient is
    written by hand, for speed: that of a gather is a sum into as many numbers as there are logits.
    """
    at = ops.stack([ops.arange(ops.shape(labels)[0], dtype="int32"), labels], axis=1)

    @ops.custom_gradient
    def loss_of(logits: Any) -> Any:
        shifted = logits - ops.max(logits, axis=-1, keepdims=True)
        chosen = ops.take_along_axis(shifted, ops.expand_dims(labels, -1), axis=-1)[:, 0]
        exponentials = ops.exp(shifted)
        total = ops.sum(exponentials, axis=-1)
        expected = (1 - smoothing) * chosen + smoothing * ops.mean(shifted, axis=-1) if smoothing else chosen

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            factor = upstream / total
            everywhere = exponentials * ops.expand_dims(factor, -1)
            at_label = ops.exp(chosen) * factor - upstream
            if smoothing:
                spread = upstream * (smoothing / ops.cast(ops.shape(logits)[-1], "float32"))
                everywhere, at_label = (
                    everywhere - ops.expand_dims(spread, -1),
                    at_label + smoothing * upstream - spread,
                )
            return ops.scatter_update(everywhere, at, at_label)

        return ops.log(total) - expected, gradient

    return loss_of(logits)


def sigmoid_cross_entropy(labels: Any, logits: Any) -> tuple[Any, Any]:
    """-log sigmoid(logit) where the label is 1, -log(1 - sigmoid(logit)) where it is 0; and which are right.

    Args:
        labels: int, float or bool `(..., classes)`, from 0 to 1.
        logits: float `(..., classes)`. A logit above 0 answers 1.

    Returns: both float32 `(..., classes)`. What is given for a negative label means nothing.

    Raises:
        UserError: the shapes do not fit each other.

    Example:
        >>> loss, right = sigmoid_cross_entropy(ops.array([1, 0]), ops.array([0.0, 2.0]))
        >>> [round(float(value), 3) for value in loss], right.numpy().tolist()
        ([0.693, 2.127], [0.0, 0.0])
    """
    _check_shape(labels.shape, logits.shape)
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    loss = ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
    return loss, ops.cast((logits > 0) == (labels > 0.5), "float32")


def squared_error(labels: Any, outputs: Any) -> tuple[Any, Any]:
    """The squared distance of every number from its label, twice.

    Args:
        labels: int or float. `(rows,)` or as `outputs`.
        outputs: float `(rows, numbers)`.

    Returns: float32 of the shape of `labels`, twice.

    Raises:
        UserError: the shapes do not fit each other.
    """
    _check_shape(labels.shape, outputs.shape[:-1] if outputs.shape[-1] == 1 else outputs.shape)
    outputs = ops.reshape(ops.cast(outputs, "float32"), ops.shape(labels))
    error = ops.square(outputs - ops.cast(labels, "float32"))
    return error, error


def classes(
    output: str | None = None,
    loss_weight: float = 1.0,
    counts: Callable[[Any], Any] | None = None,
    label_smoothing: float = 0.0,
) -> Objective:
    """Softmax cross-entropy and accuracy: the mean over the positions by their weights, not over rows.

    A position whose label is negative has weight 0 in loss, accuracy and divisor.

    Args:
        output: str or `None`, default `None`. Which of the model's outputs are the logits; `None` for its only one.
        loss_weight: float, default 1.0. Factor of this loss in the model's.
        counts: callable or `None`, default `None`. The model's inputs to what is 0 at positions that never count, such
            as padding.
        label_smoothing: float, default 0.0. Of the loss in training alone, as for `cross_entropy`.
    """

    def positions(labels: Any, inputs: Any) -> Any:
        counting = _has_label(labels)
        if counts is None:
            return counting
        possible = ops.cast(ops.cast(counts(inputs), "bool"), "float32")
        return ops.reshape(counting, ops.shape(possible)) * possible  # labels of positions may be (rows, positions, 1)

    def check(labels: np.ndarray, output_shapes: Any) -> None:
        shape = _of(output_shapes, output)
        _check_shape(labels.shape, shape[:-1])
        if labels.dtype.kind not in "iubf" or (labels.dtype.kind == "f" and not (labels == np.floor(labels)).all()):
            raise UserError(f"`y`: labels of classes are whole numbers; these are {labels.dtype}, such as {labels[:1]}")
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


def labels_of_rows() -> Objective:
    """Sigmoid cross-entropy and accuracy per label, for rows with any number of labels: the mean over labels and rows.

    Labels are `(rows, classes)`, 1 or 0; one that is negative has weight 0 in loss, accuracy and divisor.
    """
    return Objective(
        sigmoid_cross_entropy,
        score="accuracy",
        counts=lambda labels, inputs: _has_label(labels),
        check=lambda labels, shape: _check_numbers(labels, shape),
    )


def numbers() -> Objective:
    """Squared error, the mean over outputs and rows; scored by its root, `rmse`."""
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
    """Raises `UserError` for labels that are no numbers, or do not fit."""
    _check_shape(labels.shape, expected)
    if labels.dtype.kind not in "iubf" or np.isnan(labels).any():
        raise UserError(f"`y`: labels must be numbers; these are {labels.dtype}, or some are missing (nan)")


def _check_weight_shape(weights: Any, counts: Any) -> None:
    """Raises `UserError` unless weights of this shape are those of rows, or of positions."""
    weights, counts = tuple(weights), tuple(counts)
    expected = counts + (1,) * (len(weights) - len(counts))
    if not all(weight in (None, 1, size) or size is None for weight, size in zip(weights, expected, strict=False)):
        raise UserError(f"`sample_weight`: weights of shape {weights} do not fit labels of shape {counts}")


def _check_shape(labels: Any, expected: Any) -> None:
    """Raises `UserError` unless labels of this shape, perhaps with a last axis of 1, fit; `None` fits any size."""
    labels, expected = tuple(labels), tuple(expected)
    for found in (labels, labels[:-1] if labels[-1:] == (1,) else labels):
        if len(found) == len(expected) and all(
            None in pair or pair[0] == pair[1] for pair in zip(found, expected, strict=True)
        ):
            return
    raise UserError(f"`y`: labels of shape {labels} do not fit; the model takes {expected}")
