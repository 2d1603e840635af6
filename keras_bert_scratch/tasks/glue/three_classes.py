"""Evaluation of a model with the classes entailment, neutral and contradiction on a two-class entailment task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.tokenizer import BertTokenizer

ENTAILMENT, NOT_ENTAILMENT = "entailment", "not_entailment"
NAMES = {ENTAILMENT, "neutral", "contradiction"}


def three_class_model(init: Any, max_length: int) -> FineTuned | None:
    """The model in a folder if it has these three classes, in any order and case; else `None`."""
    if isinstance(init, BertConfig):
        return None
    checkpoint = read_checkpoint(init)
    labels = checkpoint.label_names
    if checkpoint.architecture != BertTextClassifier.__name__ or {name.casefold() for name in labels} != NAMES:
        return None
    spec = Spec("pair-classification", ("text", "text_pair"), max_length, labels)
    return FineTuned(BertTextClassifier.from_pretrained(init), BertTokenizer.load(init), spec)


def two_class_accuracy(answers: Sequence[Mapping[str, Any]], gold: Sequence[str]) -> float:
    """Accuracy of the most probable of the three classes; neutral and contradiction count as `not_entailment`.

    Args:
        answers: the results of `predict`.
        gold: `entailment` or `not_entailment` for each row.

    Example:
        >>> answers = [{"label": "neutral"}, {"label": "ENTAILMENT"}, {"label": "contradiction"}]
        >>> two_class_accuracy(answers, ["not_entailment", "entailment", "entailment"])
        0.6666666666666666
    """
    answered = [ENTAILMENT if answer["label"].casefold() == ENTAILMENT else NOT_ENTAILMENT for answer in answers]
    return sum(one == right for one, right in zip(answered, gold, strict=True)) / len(gold)
