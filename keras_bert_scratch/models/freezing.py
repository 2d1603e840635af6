"""Which weights of a model are frozen, as part of its config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

Model = TypeVar("Model")


def frozen_paths(model: Any) -> list[str]:
    """The paths of the weights that are not trained because the user froze them."""
    return [variable.path for variable in _weights(model) if not variable.trainable]


def freeze(model: Model, paths: Sequence[str]) -> Model:
    """Freezes the weights with these paths; returns the model."""
    for variable in _weights(model):
        if variable.path in paths:
            variable.trainable = False
    return model


def _weights(model: Any) -> list[Any]:
    """All weights that can be trained: all except the state of random generators."""
    return [variable for variable in model.weights if "seed_generator" not in variable.path]
