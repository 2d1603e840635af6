"""TextTask: what the tasks share whose model reads a text or a pair of texts and answers once for the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.tasks.data.texts import text_features, texts_of
from keras_bert_scratch.tasks.task import Features, Raw, Spec, Task


class TextTask(Task):
    """A task of rows `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]` and their pooled vector."""

    model_class = BertTextClassifier

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return texts_of(source, spec, on_bad_row)

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        return Features(text_features(spec, tokenizer, raw))
