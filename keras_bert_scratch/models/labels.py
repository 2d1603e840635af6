"""Checks of a classifier's constructor arguments: number of classes, their names, and problem type."""

from __future__ import annotations

from collections.abc import Sequence

from keras_bert_scratch.checkpoints.checkpoint import PROBLEM_TYPES
from keras_bert_scratch.errors import UserError

REGRESSION, SINGLE_LABEL, MULTI_LABEL = PROBLEM_TYPES


def check_label_names(label_names: Sequence[str], num_classes: int) -> tuple[str, ...]:
    """The names as a tuple.

    Raises:
        UserError: there is not one name per class, or two names are equal.
    """
    if isinstance(label_names, str):
        raise UserError(f"`label_names`: must be a sequence of names, not the one string {label_names!r}")
    names = tuple(label_names)
    if names and len(names) != num_classes:
        raise UserError(f"`label_names`: {len(names)} names do not fit `num_classes={num_classes}`")
    if len(set(names)) != len(names):
        raise UserError(f"`label_names`: {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return names


def check_problem_type(problem_type: str | None, num_classes: int) -> str:
    """The problem type; `None` becomes regression if there is one output, else single label.

    Raises:
        UserError: it is unknown, or does not fit the number of classes.
    """
    if num_classes < 1:
        raise UserError(f"`num_classes`: must be at least 2, or 1 for a score, not {num_classes}")
    if problem_type is None:
        return REGRESSION if num_classes == 1 else SINGLE_LABEL
    if problem_type not in PROBLEM_TYPES:
        raise UserError(f"`problem_type`: {problem_type!r} is unknown; choose one of {', '.join(PROBLEM_TYPES)}")
    if problem_type == SINGLE_LABEL and num_classes == 1:
        raise UserError("`num_classes`: must be at least 2 for single_label_classification, not 1")
    return problem_type
