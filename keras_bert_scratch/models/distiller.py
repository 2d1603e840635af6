"""Distiller: a student in training, together with its teacher."""

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
# Pairs of a student's layer and a teacher's layer: for hidden states, 0 is the embeddings and n the nth block; for
# attention, n is the nth block.
Layers = Sequence[tuple[int, int]]


class _Untracked:
    """Hides a model from Keras, which then neither tracks it as a part of the model that holds it nor saves it."""

    def __init__(self, model: Any) -> None:
        self.model = model


class Distiller(HasObjectives, keras.Model):
    """A student that learns to reproduce a teacher's outputs and, if requested, its hidden states and attention.

    The teacher runs without dropout and never changes. Hidden states are compared by their mean squared difference over
    the hidden size; if the hidden sizes differ, the student's states first go through a trainable linear layer (Jiao et
    al. 2020, "TinyBERT", equation 8). Attention is compared by the squared difference of the weights, summed over keys
    and averaged over heads (equation 7, for weights); if the numbers of heads differ, after averaging over heads.

    Args:
        student: a model with a backbone. Its weights are trained.
        teacher: a model with a backbone, or `None`, default `None`. Has the same vocabulary; its layers are compared.
        hidden: pairs of int, default none. A student's layer, and the teacher's layer whose hidden states it learns.
        attention: pairs of int, default none. The same for attention.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the student's. Outputs, a dict: the student's, a single output under `logits`; `hidden` and `attention`, if
    requested, float32 `(batch, length)`, the distances at each position.

    Raises:
        UserError: the student or the teacher does not have a given layer.
    """

    def __init__(
        self, student: Any, teacher: Any = None, hidden: Layers = (), attention: Layers = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.student = student
        self.dtype_policy = student.dtype_policy
        self.hidden, self.attention = tuple(hidden), tuple(attention)
        self._teacher = _Untracked(teacher)
        if teacher is not None:
            for name, pairs in ((HIDDEN, self.hidden), (ATTENTION, self.attention)):
                check_layers(name, pairs, student.backbone.config, teacher.backbone.config)
        self.projections = [self._projection(ours, theirs) for ours, theirs in self.hidden]
        self.built = True

    def _projection(self, ours: int, theirs: int) -> Any:
        """The linear layer from the student's hidden size to the teacher's; `None` if they are equal."""
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
        """The student's backbone."""
        return self.student.backbone

    @property
    def _shape_of_output(self) -> Any:
        shape = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), self.student.output)
        return _by_name(shape)

    def named_inputs(self, inputs: Any) -> dict[str, Any]:
        """Selects the student's inputs from those given."""
        return self.student.named_inputs(inputs)

    def count_tokens(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        return self.student.count_tokens(inputs)

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        outputs = _by_name(self.student(inputs, training=training))
        if not self.hidden and not self.attention:
            return outputs
        [ours], [theirs] = self.backbone.towers, self._teacher.model.backbone.towers
        states, weights = ours.look_inside(inputs, training)  # with the dropout of the student's outputs
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
    """The distance `(batch, length)` of weights `(batch, heads, length, keys)`."""
    if ours.shape[1] != theirs.shape[1]:
        ours, theirs = (ops.mean(weights, axis=1, keepdims=True) for weights in (ours, theirs))
    return ops.mean(ops.sum(ops.square(ours - theirs), axis=-1), axis=1)


def check_layers(name: str, pairs: Layers, student: BertConfig, teacher: BertConfig) -> None:
    """Raises `UserError` for a layer that the student or the teacher does not have.

    Args:
        name: str. `"hidden"` or `"attention"`.
        pairs: each a student's layer and a teacher's layer.
        student, teacher: BertConfig. Their sizes.
    """
    first = 0 if name == HIDDEN else 1
    for pair in pairs:
        for which, config, number in zip(("student", "teacher"), (student, teacher), pair, strict=True):
            if not first <= number <= config.num_layers:
                raise UserError(f"`{name}`: the {which} has the layers {first} to {config.num_layers}, not {number}")
