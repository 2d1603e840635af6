"""A model of three classes, entailment, neutral and contradiction, measured where only entailment is asked about."""

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
    """The model in a folder if it has these three classes, in any order and spelling of capitals; else `None`."""
    if isinstance(init, BertConfig):
        return None
    checkpoint = read_checkpoint(init)
    labels = checkpoint.label_names
    if checkpoint.architecture != BertTextClassifier.__name__ or {name.casefold() for name in labels} != NAMES:
        return None
    spec = Spec("pair-classification", ("text", "text_pair"), max_length, labels)
    return FineTuned(BertTextClassifier.from_pretrained(init), BertTokenizer.load(init), spec)


def two_class_accuracy(answers: Sequence[Mapping[str, Any]], gold: Sequence[str]) -> float:
    """How often the most probable of the three classes is right, neutral and contradiction being `not_entailment`.

    Args:
        answers: what `predict` gave.
        gold: `entailment` or `not_entailment` of each row.

    Example:
        >>> answers = [{"label": "neutral"}, {"label": "ENTAILMENT"}, {"label": "contradiction"}]
        >>> two_class_accuracy(answers, ["not_entailment", "entailment", "entailment"])
        0.6666666666666666
    """
    answered = [ENTAILMENT if answer["label"].casefold() == ENTAILMENT else NOT_ENTAILMENT for answer in answers]
    return sum(one == right for one, right in zip(answered, gold, strict=True)) / len(gold)
