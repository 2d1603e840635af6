"""TextTask: what the tasks share whose model reads a text or a pair of texts and answers once for the row."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.tasks.data.tables import Column
from keras_bert_scratch.tasks.data.texts import text_columns, text_features
from keras_bert_scratch.tasks.task import Raw, Spec, Task


class TextTask(Task):
    """A task of rows `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]` and their pooled vector."""

    model_class = BertTextClassifier

    def columns_of(self, spec: Spec) -> tuple[Column, ...]:
        return text_columns(spec)

    def features(self, spec: Spec, tokenizer: Any, raw: Raw) -> dict[str, tf.Tensor]:
        return text_features(spec, tokenizer, raw)
