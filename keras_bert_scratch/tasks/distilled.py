"""Distilled: a task as a student learns it from its teachers' outputs; answers and scores are the task's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.distiller import ATTENTION, HIDDEN, LOGITS, Distiller
from keras_bert_scratch.models.labels import MULTI_LABEL, REGRESSION
from keras_bert_scratch.models.objectives import Objective
from keras_bert_scratch.models.soft_objectives import NOTHING, at_tokens, same_numbers, soft_classes, soft_labels
from keras_bert_scratch.tasks.examples import Features
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.tasks.teacher_outputs import CHOICES, ROWS, TOKENS, TeacherOutputs

ROW = "row"  # the number of each text, which is all that training has to know
# What the outputs of each model are of, and of which of them there are logits.
OUTPUTS_OF = {
    "BertTextClassifier": (ROWS, (LOGITS,)),
    "BertTokenClassifier": (TOKENS, (LOGITS,)),
    "BertQuestionAnswerer": (TOKENS, ("start", "end")),
    "BertMultipleChoice": (CHOICES, (LOGITS,)),
}


@dataclasses.dataclass(frozen=True)
class Distillation:
    """What a student learns of its teachers (Hinton et al. 2015; Turc et al. 2019; Jiao et al. 2020).

    Args:
        temperature: float above 0, default 2.0. What both sides' logits are divided by; the loss is multiplied by its
            square.
        hidden: pairs of int, default none. Which layer of the student is to become which of the teacher, as
            `((1, 3), (2, 6))`; 0 is the embeddings. Of several teachers it is the first one's.
        attention: pairs of int, default none. The same of the blocks' attention, from 1.
        hidden_weight: float, default 1.0. Factor of the loss of hidden states.
        attention_weight: float, default 1.0. Factor of the loss of attention.

    Example:
        >>> Distillation(hidden=((1, 3), (2, 6))).looks_inside
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
    def looks_inside(self) -> bool:
        """Whether more than outputs is learnt."""
        return bool(self.hidden or self.attention)


class Distilled:
    """A task whose targets are its teachers' outputs. What it does not change it takes from the task.

    Args:
        task: Task. Any whose model has logits of rows, tokens or choices.
        how: Distillation.
        outputs: TeacherOutputs. For the texts, in their order.
        first_window: int `(texts,)`. The number of each text's first window among all.
        teacher: a model, or `None`. Whose layers are looked at.
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
            weights[LOGITS] = self._task.learnt_positions(features)
        for name in self._inside:
            labels[name] = tf.zeros_like(window)
        return labels, weights or None

    def notes(self, spec: Spec, tokenizer: Any, examples: Any) -> dict[str, Any]:
        """Nothing: there are no labels to tell about."""
        return {}

    @property
    def _inside(self) -> tuple[str, ...]:
        return tuple(name for name in (HIDDEN, ATTENTION) if getattr(self._how, name))

    def _of_windows(self, name: str, window: tf.Tensor, features: Features) -> tf.Tensor:
        """The teacher's logits, `(windows, classes)`, `(windows, length, classes)`, or of spans and choices as many as
        there are."""
        found = tf.gather(self._outputs[name], window)
        if self._entries == ROWS:
            return found.values
        logits = found.to_tensor(NOTHING)
        missing = tf.shape(features.inputs["token_ids"])[1] - tf.shape(logits)[1]
        padding = [[0, 0], [0, missing], *[[0, 0]] * (len(logits.shape) - 2)]
        return tf.pad(logits, padding, constant_values=NOTHING)

    def objectives(self, spec: Spec, model: Distiller) -> dict[str, Objective]:
        how = self._how
        kind = getattr(model.student, "problem_type", None)
        if kind == REGRESSION:
            found = {LOGITS: same_numbers(LOGITS)}
        elif kind == MULTI_LABEL:
            found = {LOGITS: soft_labels(LOGITS, how.temperature)}
        else:
            share = 1 / len(self._names)
            found = {name: soft_classes(name, how.temperature, share) for name in self._names}
        return found | {name: at_tokens(name, getattr(how, f"{name}_weight")) for name in self._inside}

    def new_model(self, spec: Spec, init: Any, tokenizer: Any, dtype: str, remat: bool) -> Distiller:
        student = self._task.new_model(spec, init, tokenizer, dtype, remat)
        return Distiller(student, self._teacher, self._how.hidden, self._how.attention)

    def answering(self, model: Distiller) -> Any:
        return model.student
