"""TextTask: the base of tasks whose model reads a text or a pair of texts and gives one answer per row."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.labels import MULTI_LABEL, REGRESSION
from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.tasks.data.texts import text_features, texts_of
from keras_bert_scratch.tasks.examples import Features, Raw
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task


class TextTask(Task):
    """A task on rows `[CLS] text [SEP]` or `[CLS] text [SEP] text_pair [SEP]`, by their pooled vector."""

    model_class = BertTextClassifier
    problem_type: ClassVar[str]

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        spec = super().spec_of(checkpoint, directory)
        told, outputs = checkpoint.problem_type, checkpoint.num_classes
        if told not in (None, self.problem_type):
            raise UserError(f"{directory}: is a model for {told}, not for {self.problem_type}; leave out `task`")
        if (outputs == 1) != (self.problem_type == REGRESSION) and self.problem_type != MULTI_LABEL:
            wanted = "one score" if self.problem_type == REGRESSION else "a score for each of at least two labels"
            raise UserError(f"{directory}: computes {outputs} scores for a text; the task {self.name} needs {wanted}")
        if self.problem_type == REGRESSION:
            return spec
        labels = checkpoint.label_names or tuple(f"LABEL_{number}" for number in range(outputs))
        return dataclasses.replace(spec, labels=labels)

    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        return texts_of(source, spec, on_bad_row)

    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        return text_features(spec, tokenizer, raw)

    def predict_from_ids(self, spec: Spec, tokenizer: Any, model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
        rows = tf.shape(inputs["token_ids"])[0]
        features = Features(dict(inputs), None, None, notes={"row": tf.range(rows)})  # a row is a text
        return self.predict(spec, model, features)[1]
