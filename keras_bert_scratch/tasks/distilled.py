"""Distillation task: a task whose training targets are the teachers' outputs; answers and scores are the task's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.distiller import ATTENTION, HIDDEN, LOGITS, Distiller
from keras_bert_scratch.models.labels import MULTI_LABEL, REGRESSION
from keras_bert_scratch.models.objectives import Objective
from keras_bert_scratch.models.soft_objectives import (
    PADDING_LOGIT,
    distillation_objective,
    multi_label_distillation_objective,
    per_token_objective,
    regression_distillation_objective,
)
from keras_bert_scratch.tasks.examples import Features
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.tasks.teacher_outputs import CHOICES, ROWS, TOKENS, TeacherOutputs

ROW = "row"  # the index of each text, the only label that training needs
# By model class: what each entry of its outputs belongs to, and the names of the outputs that hold logits.
OUTPUTS_OF = {
    "BertTextClassifier": (ROWS, (LOGITS,)),
    "BertTokenClassifier": (TOKENS, (LOGITS,)),
    "BertQuestionAnswerer": (TOKENS, ("start", "end")),
    "BertMultipleChoice": (CHOICES, (LOGITS,)),
}


@dataclasses.dataclass(frozen=True)
class Distillation:
    """What a student learns from its teachers (Hinton et al. 2015; Turc et al. 2019; Jiao et al. 2020).

    Args:
        temperature: float above 0, default 2.0. Divisor of both sides' logits; the loss is multiplied by its square.
        hidden: pairs of int, default none. Pairs of a student layer and the teacher layer that it learns to match, as
            `((1, 3), (2, 6))`; 0 is the embeddings. With several teachers, the layers are those of the first one.
        attention: pairs of int, default none. The same for the attention of the blocks, counted from 1.
        hidden_weight: float, default 1.0. Weight of the hidden-state loss.
        attention_weight: float, default 1.0. Weight of the attention loss.

    Raises:
        UserError: the temperature or a weight is not a number above 0; the message names it.

    Example:
        >>> Distillation(hidden=((1, 3), (2, 6))).has_intermediate_losses
        True
    """

    temperature: float = 2.0
    hidden: tuple[tuple[int, int], ...] = ()
    attention: tuple[tuple[int, int], ...] = ()
    hidden_weight: float = 1.0
    attention_weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("temperature", "hidden_weight", "attention_weight"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"`{name}`: must be a number above 0, not {getattr(self, name)}")

    @property
    def has_intermediate_losses(self) -> bool:
        """Whether the student also learns hidden states or attention."""
        return bool(self.hidden or self.attention)


class DistillationTask:
    """A task whose targets are its teachers' outputs. All other attributes are the wrapped task's.

    Args:
        task: Task. Any whose model has logits of rows, tokens or choices.
        how: Distillation.
        outputs: TeacherOutputs. The outputs for the texts, in order.
        first_window: int `(texts,)`. The index of each text's first window among all windows.
        teacher: a model, or `None`. The model whose layers the student matches.
    """

    teacher_forced = False

    def __init__(self, task: Task, how: Distillation, outputs: TeacherOutputs, first_window: Any, teacher: Any) -> None:
        self._task, self._how, self._teacher = task, how, teacher
        self._outputs, self._first_window = outputs.ragged(), tf.constant(first_window, tf.int64)
        self._entries, self._names = OUTPUTS_OF[task.model_class.__name__]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def features(self, spec: Spec, tokenizer: Any, raw: Mapping[str, Any], chosen: Any = None) -> Features:
        features = self._task.features(spec, tokenizer, raw, chosen)
        return dataclasses.replace(features, notes={**features.notes, "chosen": chosen})

    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        window = tf.gather(self._first_window, gold[ROW])
        if self._task.is_windowed(spec):
            window += tf.cast(features.notes["chosen"], tf.int64)
        labels = {name: self._of_windows(name, window, features) for name in self._names}
        weights = {}
        if self._entries == TOKENS and self._names == (LOGITS,):
            weights[LOGITS] = self._task.label_mask(features)
        for name in self._intermediate_losses:
            labels[name] = tf.zeros_like(window)
        return labels, weights or None

    def notes(self, spec: Spec, tokenizer: Any, examples: Any) -> dict[str, Any]:
        """Nothing, as there are no labels to describe."""
        return {}

    @property
    def _intermediate_losses(self) -> tuple[str, ...]:
        return tuple(name for name in (HIDDEN, ATTENTION) if getattr(self._how, name))

    def _of_windows(self, name: str, window: tf.Tensor, features: Features) -> tf.Tensor:
        """The teacher's logits: of texts `(windows, classes)`, of tokens `(windows, length, classes)`, of answer spans
        `(windows, length)`, of choices `(windows, choices)`, the last three padded."""
        found = tf.gather(self._outputs[name], window)
        if self._entries == ROWS:
            return found.values
        logits = found.to_tensor(PADDING_LOGIT)
        missing = tf.shape(features.inputs["token_ids"])[1] - tf.shape(logits)[1]
        padding = [[0, 0], [0, missing], *[[0, 0]] * (len(logits.shape) - 2)]
        return tf.pad(logits, padding, constant_values=PADDING_LOGIT)

    def objectives(self, spec: Spec, model: Distiller) -> dict[str, Objective]:
        how = self._how
        kind = getattr(model.student, "problem_type", None)
        if kind == REGRESSION:
            found = {LOGITS: regression_distillation_objective(LOGITS)}
        elif kind == MULTI_LABEL:
            found = {LOGITS: multi_label_distillation_objective(LOGITS, how.temperature)}
        else:
            share = 1 / len(self._names)
            found = {name: distillation_objective(name, how.temperature, share) for name in self._names}
        return found | {
            name: per_token_objective(name, getattr(how, f"{name}_weight")) for name in self._intermediate_losses
        }

    def new_model(self, spec: Spec, init: Any, tokenizer: Any, dtype: str, remat: bool) -> Distiller:
        student = self._task.new_model(spec, init, tokenizer, dtype, remat)
        return Distiller(student, self._teacher, self._how.hidden, self._how.attention)

    def inference_model(self, model: Distiller) -> Any:
        return model.student
