"""Asking an exported SavedModel from Python, with nothing of the network's code in the process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations that the exported tokenizer consists of

from keras_bert_scratch.errors import UserError


def answer(path: Path | str, texts: Sequence[str]) -> list[tuple[str, list[float]]]:
    """For each text the label and the scores of all labels, by the model's `serving_default` signature.

    Args:
        path: the SavedModel's folder.
        texts: the texts.

    Raises:
        UserError: it cannot be loaded, or does not take raw text.
    """
    try:
        signatures = tf.saved_model.load(str(path)).signatures
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"{path}: cannot be loaded as a SavedModel ({str(error).splitlines()[0]}); export it again"
        ) from None
    if "serving_default" not in signatures or "text" not in signatures["serving_default"].structured_input_signature[1]:
        raise UserError(
            f"{path}: has no serving_default signature that takes 'text'; export it with 'keras-bert export'"
        )
    answers = signatures["serving_default"](text=tf.constant(list(texts)))
    labels = [label.decode() for label in answers["label"].numpy()]
    return list(zip(labels, answers["scores"].numpy().tolist(), strict=True))
