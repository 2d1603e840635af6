"""Labels and weights that `fit` and `evaluate` are given as arrays: checked before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.objectives import Objective, by_objective


def check_labels(objectives: Mapping[str, Objective], y: Any, output_shapes: Any) -> None:
    """Raises `UserError` for labels in arrays that cannot be; passes over what is no array, such as a dataset."""
    if not (_is_array(y) or isinstance(y, Mapping)):
        return
    for name, labels in by_objective(objectives, y, None)[0].items():
        if _is_array(labels):
            objectives[name].check(np.asarray(labels), output_shapes)


def check_sample_weight(sample_weight: Any) -> None:
    """Raises `UserError` for weights in arrays of which no mean can be made."""
    for weights in sample_weight.values() if isinstance(sample_weight, Mapping) else [sample_weight]:
        if not _is_array(weights):
            continue
        weights = np.asarray(weights)
        if len(wrong := weights[~(np.isfinite(weights) & (weights >= 0))]):
            raise UserError(f"`sample_weight`: must be finite and at least 0, as the loss is a mean; has {wrong[0]}")


def weights_by_class(
    objectives: Mapping[str, Objective], y: Any, output_shape: Any, class_weight: Mapping[int, float]
) -> np.ndarray | None:
    """Keras's `class_weight` as sample weights of positions; `None` where Keras's own way, by rows, is right.

    Keras takes labels of several positions for one-hot classes, and weighs the whole row by the highest.

    Args:
        objectives: dict of str to Objective. Those of the model.
        y: the labels, `None` if a dataset has them.
        output_shape: tuple. Of the logits.
        class_weight: dict of int to float. By label; 1 for a label that is not there.

    Raises:
        UserError: the model's labels are no classes, or are not at hand.
    """
    if len(objectives) > 1 or not all(objective.of_classes for objective in objectives.values()):
        raise UserError("`class_weight`: is for models with one class per label and one output; give `sample_weight`")
    if len(output_shape) == 2:
        return None
    if not _is_array(y):
        raise UserError(
            "`class_weight`: of labels of positions needs them in an array; in a dataset, give the weight of every "
            "position as the third part of each element"
        )
    labels = np.asarray(y)
    weights = np.ones(labels.shape, np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights


def _is_array(value: Any) -> bool:
    """Whether it is a list, or an array or tensor of any library."""
    return isinstance(value, list) or hasattr(value, "__array__")
