"""Checks of inputs, labels and sample weights that a model gets as arrays, before the first step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.objectives import Objective, by_objective

POSITIONS = ("mask_positions", "example_starts")


def check_positions(x: Any, names: Collection[str]) -> None:
    """Raises `UserError` for positions beyond their row in inputs that are arrays; ignores everything else.

    In the graph, where rows lie end to end, they would mean a token of another row.

    Args:
        x: the inputs, by name.
        names: the inputs that the model reads.
    """
    if not isinstance(x, Mapping) or not isinstance(x.get("token_ids"), (list, np.ndarray)):
        return
    length = np.shape(x["token_ids"])[-1]
    for name in POSITIONS:
        if name in names and isinstance(x.get(name), (list, np.ndarray)):
            positions = np.asarray(x[name])
            if len(wrong := positions[(positions < 0) | (positions >= length)]):
                raise UserError(f"`x`: {name} has {wrong[0]}, but its rows have the positions 0 to {length - 1}")


def check_labels(objectives: Mapping[str, Objective], y: Any, output_shapes: Any) -> None:
    """Raises `UserError` for invalid labels in arrays; ignores everything else, such as a dataset."""
    if not (_is_array(y) or isinstance(y, Mapping)):
        return
    for name, labels in by_objective(objectives, y, None)[0].items():
        if _is_array(labels):
            objectives[name].check(np.asarray(labels), output_shapes)


def check_sample_weight(sample_weight: Any) -> None:
    """Raises `UserError` for sample weights in arrays that are negative or not finite."""
    for weights in sample_weight.values() if isinstance(sample_weight, Mapping) else [sample_weight]:
        if not _is_array(weights):
            continue
        weights = np.asarray(weights)
        if len(wrong := weights[~(np.isfinite(weights) & (weights >= 0))]):
            raise UserError(
                f"`sample_weight`: must be finite and at least 0, as the loss is a weighted mean; has {wrong[0]}"
            )


def weights_by_class(
    objectives: Mapping[str, Objective], y: Any, output_shape: Any, class_weight: Mapping[int, float]
) -> np.ndarray | None:
    """Keras's `class_weight` as sample weights per position; `None` if Keras's own weights, per row, are right.

    Keras treats the labels of several positions as a one-hot vector, and weights the whole row by its argmax.

    Args:
        objectives: dict of str to Objective. The model's objectives.
        y: the labels; `None` if they are in a dataset.
        output_shape: tuple. Shape of the logits.
        class_weight: dict of int to float. Weight by label; 1 for a label that it lacks.

    Raises:
        UserError: the model's labels are not classes, or are not given as an array.
    """
    if len(objectives) > 1 or not all(objective.of_classes for objective in objectives.values()):
        raise UserError("`class_weight`: needs a model with one output and one class per label; give `sample_weight`")
    if len(output_shape) == 2:
        return None
    if not _is_array(y):
        raise UserError(
            "`class_weight`: labels of positions must be in an array; for a dataset, give the weight of every position "
            "as the third item of each element"
        )
    labels = np.asarray(y)
    weights = np.ones(labels.shape, np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights


def _is_array(value: Any) -> bool:
    """Whether it is a list, or an array or tensor of any library."""
    return isinstance(value, list) or hasattr(value, "__array__")
