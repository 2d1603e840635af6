"""Class names: reads them from Hugging Face's config, and reorders the classes of a head."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.checkpoints.architectures import CRF_TRANSITIONS
from keras_bert_scratch.errors import UserError

PLACEHOLDER = re.compile(r"LABEL_\d+")


def read_label_names(file: Path, description: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    """The names from `id2label`, else from `label2id`; `LABEL_0` and so on if both are missing.

    Args:
        file: for errors.
        description: Hugging Face's config.
        num_classes: number of classes of the head. A single score has no names.

    Raises:
        UserError: there is not exactly one name for each of the head's classes.

    Example:
        >>> read_label_names(Path("config.json"), {"id2label": {"1": "good", "0": "bad"}}, 2)
        ('bad', 'good')
    """
    if num_classes < 2:
        return ()
    by_id, by_label = (description.get(name) for name in ("id2label", "label2id"))
    for name, value in (("id2label", by_id), ("label2id", by_label)):
        if value is not None and not isinstance(value, dict):
            raise UserError(
                f'{file}: {name} is a {type(value).__name__}, but must be an object like {{"0": "bad", "1": "good"}}; '
                f"fix it"
            )
    if not by_id and by_label:
        by_id = {number: label for label, number in by_label.items()}
    if not by_id:
        return tuple(f"LABEL_{number}" for number in range(num_classes))
    names = {str(number): str(label) for number, label in by_id.items()}
    if names.keys() != {str(number) for number in range(num_classes)}:
        raise UserError(
            f"{file}: id2label names the classes {', '.join(sorted(names)[:5])}, but the head in the weights has the "
            f"classes 0 to {num_classes - 1}; they are not from the same model"
        )
    return tuple(names[str(number)] for number in range(num_classes))


def have_names(label_names: Sequence[str]) -> bool:
    """Whether these are names and not Hugging Face's placeholders."""
    return bool(label_names) and not all(PLACEHOLDER.fullmatch(name) for name in label_names)


def reordered_head(
    weights: Mapping[str, np.ndarray], old: Sequence[str], new: Sequence[str]
) -> dict[str, np.ndarray] | None:
    """The head's tensors with its classes in the order `new`; `None` if these are not the same classes.

    Example:
        >>> head = {"logits/kernel": np.array([[1.0, 2.0]]), "logits/bias": np.array([3.0, 4.0])}
        >>> reordered_head(head, ("bad", "good"), ("good", "bad"))["logits/bias"].tolist()
        [4.0, 3.0]
    """
    if len(set(old)) != len(old) or sorted(old) != sorted(new):
        return None
    order = [list(old).index(name) for name in new]
    head = {"logits/kernel": weights["logits/kernel"][:, order], "logits/bias": weights["logits/bias"][order]}
    if CRF_TRANSITIONS in weights:
        head[CRF_TRANSITIONS] = weights[CRF_TRANSITIONS][order][:, order]
    return head
