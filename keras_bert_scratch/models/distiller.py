"""Distiller: a student beside its teacher, while it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.models.trainable import HasObjectives

LOGITS, HIDDEN, ATTENTION = "logits", "hidden", "attention"
# A layer of the student and one of the teacher: of hidden states 0 is the embeddings and n the nth block, of attention
# n is the nth block.
Layers = Sequence[tuple[int, int]]


class _Kept:
    """A model that is asked only: it is not taken for a part of the one that holds it, nor saved with that."""

    def __init__(self, model: Any) -> None:
        self.model = model


class Distiller(HasObjectives, keras.Model):
    """A student whose outputs, and on request hidden states and attention, are to become those of a teacher.

    The teacher is asked without dropout and never changes. Hidden states are compared by their squared distance, the
    mean over the width; those of another width first go through a linear layer that learns along (Jiao et al. 2020,
    "TinyBERT", equation 8). Attention is compared by the squared distance of the weights, summed over keys, the mean
    over heads (equation 7, of weights); of networks that have not as many heads, after the mean over these.

    Args:
        student: a model with a backbone. Its weights are those that learn.
        teacher: a model with a backbone, or `None`, default `None`. One of the same vocabulary, to look at its layers.
        hidden: pairs of int, default none. Which layer of the student is to become which of the teacher.
        attention: pairs of int, default none. The same of attention.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the student's. Outputs, a dict: the student's, `logits` where it has a single one; `hidden` and `attention`,
    float32 `(batch, length)`, the distances at each position.

    Raises:
        UserError: a layer that one of them has not.
    """

    def __init__(
        self, student: Any, teacher: Any = None, hidden: Layers = (), attention: Layers = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.dtype_policy = student.dtype_policy
        self.hidden, self.attention = tuple(hidden), tuple(attention)
        self._teacher = _Kept(teacher)
        if teacher is not None:
            for name, pairs in ((HIDDEN, self.hidden), (ATTENTION, self.attention)):
                check_layers(name, pairs, student.backbone.config, teacher.backbone.config)
        self.projections = [self._projection(ours, theirs) for ours, theirs in self.hidden]
        self.built = True

    def _projection(self, ours: int, theirs: int) -> Any:
        """What makes a hidden state of the student as wide as the teacher's; for all the same is none."""
        config, width = self.student.backbone.config, self._teacher.model.backbone.config.hidden_size
        if config.hidden_size == width:
            return None
        layer = Dense(
            width, "linear", config.initializer_range, dtype=self.dtype_policy, name=f"projection_{ours}_{theirs}"
        )
        layer.build((None, None, config.hidden_size))
        return layer

    @property
    def backbone(self) -> Any:
        """The student's."""
        return self.student.backbone

    @property
    def _shape_of_output(self) -> Any:
        shape = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), self.student.output)
        return _by_name(shape)

    def named_inputs(self, inputs: Any) -> dict[str, Any]:
        """The student's inputs out of those given."""
        return self.student.named_inputs(inputs)

    def count_tokens(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        return self.student.count_tokens(inputs)

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        outputs = _by_name(self.student(inputs, training=training))
        if not self.hidden and not self.attention:
            return outputs
        [ours], [theirs] = self.backbone.towers, self._teacher.model.backbone.towers
        states, weights = ours.look_inside(inputs, training)  # drops what the student dropped
        their_states, their_weights = (
            [ops.stop_gradient(ops.cast(value, "float32")) for value in values]
            for values in theirs.look_inside(inputs, False)
        )
        if self.hidden:
            outputs[HIDDEN] = _mean(
                ops.mean(ops.square(ops.cast(_through(layer, states[i]), "float32") - their_states[j]), axis=-1)
                for layer, (i, j) in zip(self.projections, self.hidden, strict=True)
            )
        if self.attention:
            outputs[ATTENTION] = _mean(
                _attention_distance(ops.cast(weights[i - 1], "float32"), their_weights[j - 1])
                for i, j in self.attention
            )
        return outputs


def _by_name(outputs: Any) -> dict[str, Any]:
    return dict(outputs) if isinstance(outputs, dict) else {LOGITS: outputs}


def _through(layer: Any, x: Any) -> Any:
    return x if layer is None else layer(x)


def _mean(values: Any) -> Any:
    values = list(values)
    return sum(values) / len(values)


def _attention_distance(ours: Any, theirs: Any) -> Any:
    """Of weights `(batch, heads, length, keys)`, `(batch, length)`."""
    if ours.shape[1] != theirs.shape[1]:
        ours, theirs = (ops.mean(weights, axis=1, keepdims=True) for weights in (ours, theirs))
    return ops.mean(ops.sum(ops.square(ours - theirs), axis=-1), axis=1)


def check_layers(name: str, pairs: Layers, student: BertConfig, teacher: BertConfig) -> None:
    """Raises `UserError` for a layer, of the student or of the teacher, that there is not.

    Args:
        name: str. `"hidden"` or `"attention"`.
        pairs: a layer of the student and one of the teacher each.
        student, teacher: BertConfig. Their sizes.
    """
    first = 0 if name == HIDDEN else 1
    for pair in pairs:
        for which, config, number in zip(("student", "teacher"), (student, teacher), pair, strict=True):
            if not first <= number <= config.num_layers:
                raise UserError(f"`{name}`: the {which} has the layers {first} to {config.num_layers}, not {number}")
