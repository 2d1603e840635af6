"""The training step: what `model.fit` calls for every batch, correct under every `tf.distribute` strategy.

Replicas exchange sums, never means. The total weight of the batch is known before the forward pass. Each replica
divides its loss by it, so the sum of the replicas' gradients is the gradient of the loss of the whole batch,
however the rows are distributed. Only that sum is checked, clipped and applied.

    weights ─ all-reduce ─► one divisor per loss
    part of the rows ─► forward, backward ─┐  (`accumulate` times)
                                           ├─ all-reduce ─► finite? ─► clip ─► update, in every replica alike
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.dropout import dropout_seed_scope
from keras_bert_scratch.training.gradients import dense, global_norm, sum_over_replicas
from keras_bert_scratch.training.loss_scale import LossScale
from keras_bert_scratch.training.signals import Signals, once_per_worker
from keras_bert_scratch.training.step_function import StepFunction

log = logging.getLogger(__name__)


class TrainFunction(StepFunction):
    """`model.fit`'s step function: one update of the weights from a batch of all replicas.

    A step whose gradient is not finite changes no weight; `skipped_now` is the number of such steps in the last call.

    Args:
        model: compiled with `BertAdamW` or `Lamb`.

    Raises:
        UserError: the model has no weights to train, weights that are not float32, or another strategy's optimizer.
    """

    def __init__(self, model: Any) -> None:
        _check_weights(model)
        if not model.distribute_strategy.extended.variable_created_in_scope(model.optimizer.iterations.value):
            raise UserError(
                "`optimizer`: was created outside the scope of the model's strategy; create and compile it under "
                "`with strategy.scope():`"
            )
        self._variables = list(model.trainable_variables)
        with model.distribute_strategy.scope():
            model.optimizer.build(self._variables, [variable.path for variable in model.weights])
            self._scale = LossScale.of(model)
        self.skipped_now = 0
        self._skip_logged = False
        self.signals = Signals()
        super().__init__(model)

    def trains(self, variables: Sequence[Any]) -> bool:
        """Whether these are the variables that it updates."""
        return [id(variable) for variable in variables] == [id(variable) for variable in self._variables]

    def _replica_step(self, batch: Any, *arguments: Any) -> tuple[Any, ...]:
        inputs, labels, weights = self._unpack(batch)
        optimizer, scale = self.model.optimizer, self._scale.value()
        # Sums over all replicas: the divisors of the losses, the token counts, and the signals between workers.
        total_weights = tf.stack([tf.reduce_sum(weight) for weight in weights.values()])
        total_weights, tokens, signals = sum_over_replicas(
            [total_weights, self._count_tokens(inputs), once_per_worker(*arguments)]
        )

        grads, sums = [], tf.zeros((3, len(self.model.objectives)))
        for part in range(self.model.accumulate):
            part_grads, part_sums = self._compiled_part(part, (inputs, labels, weights), total_weights, scale, grads)
            grads = [_add(a, b) for a, b in zip(grads, part_grads, strict=True)] if grads else part_grads
            sums = sums + part_sums

        *grads, sums = sum_over_replicas([*grads, sums])  # from here on the same in all replicas
        grads = self._scale.unscaled(grads, scale)
        norm = global_norm(grads)
        finite = tf.math.is_finite(norm)
        clock_rate, by_clock, *_ = tf.unstack(signals)
        rate = tf.where(by_clock > 0, clock_rate, tf.cast(optimizer.learning_rate, tf.float32))
        tf.cond(finite, lambda: optimizer.update(self._variables, grads, norm, rate), lambda: tf.constant(0))
        optimizer.count_step()
        self._scale.update(finite)
        return tf.where(finite, sums, tf.zeros_like(sums)), tokens, tf.cast(~finite, tf.int32), signals

    def _compiled_part(self, part: int, batch: Any, total_weights: Any, scale: Any, after: list[Any]) -> Any:
        """`_part_gradients` of one part of the rows, run after the gradients `after` of the previous parts."""
        parts, replica = self.model.accumulate, tf.distribute.get_replica_context()
        batch = keras.tree.map_structure(lambda rows: _rows_of_part(rows, part, parts), batch)
        # The parts must run one after another; otherwise the graph would run them in parallel, with the memory of all.
        with tf.control_dependencies([gradient for gradient in after if gradient is not None]):
            batch = keras.tree.map_structure(tf.identity, batch)
        # A different number for every forward pass determines the values that are dropped.
        step = tf.cast(self.model.optimizer.iterations, tf.int64)
        number = step * replica.num_replicas_in_sync + tf.cast(replica.replica_id_in_sync_group, tf.int64)
        arguments = (*batch, total_weights, scale, number * parts + part)
        # Compiled separately from the rest of the step: an all-reduce cannot be XLA-compiled on a CPU.
        gradients = self._graph(self._part_gradients, arguments, autograph=False, jit_compile=self.model.jit_compile)
        return gradients(*arguments)

    def _part_gradients(
        self, inputs: Any, labels: Any, weights: Any, total_weights: Any, scale: Any, draw: Any
    ) -> tuple[list[Any], Any]:
        """The gradients of this part's share of the loss, times `scale`; and its sums of losses, scores and weights."""
        variables = [variable.value for variable in self._variables]
        with dropout_seed_scope(draw):  # around the backward pass too, in which remat recomputes a block
            with tf.GradientTape() as tape:
                sums = self._sums(inputs, labels, weights, training=True)
                loss = tf.reduce_sum(self._loss_weights * tf.math.divide_no_nan(sums[0], total_weights)) * scale
            if self.model.losses:
                raise UserError("add_loss: is not part of this step; define an objective, or use a Keras optimizer")
            return [dense(gradient) for gradient in tape.gradient(loss, variables)], sums

    def _zeros(self) -> tuple[Any, ...]:
        return (*super()._zeros(), tf.constant(0), tf.zeros(4))

    def _arguments(self) -> tuple[Any, ...]:
        return (self.signals.sent.read_value(),)

    def _notice(self, skipped: np.ndarray, signals: np.ndarray) -> None:
        self.skipped_now = int(skipped)
        if self.skipped_now and not self._skip_logged and not self.searches_scale:
            self._skip_logged = True
            log.warning(
                "%s: a gradient is not finite; such a step changes no weight and counts in no metric. Lower the "
                "learning rate, or look for sample weights that are not finite (logged once)",
                self.model.name,
            )
        self.signals.reduced = signals

    @property
    def rate(self) -> float:
        """The learning rate of the next step; if it follows the clock, of the last step."""
        rate, by_clock, *_ = self.signals.reduced
        return float(rate / by_clock if by_clock else keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    @property
    def searches_scale(self) -> bool:
        """Whether float16's loss scale can still fall: then a step that overflows is part of the search for it."""
        return self._scale.can_fall


def _check_weights(model: Any) -> None:
    if not model.trainable_variables:
        raise UserError(f"{model.name}: has nothing to train, as all its weights are frozen; set trainable = True")
    if wrong := sorted({variable.dtype for variable in model.trainable_variables} - {"float32"}):
        raise UserError(
            f"`dtype`: the weights are {wrong[0]}, in which updates are lost by rounding; this step trains float32 "
            "weights: give `dtype='mixed_bfloat16'`, `dtype='mixed_float16'` or `dtype='float32'`"
        )


def _rows_of_part(rows: Any, part: int, parts: int) -> Any:
    """The rows of a part; parts differ by at most one row."""
    if parts == 1:
        return rows
    size = rows.shape[0] if rows.shape[0] is not None else tf.shape(rows)[0]
    return rows[part * size // parts : (part + 1) * size // parts]


def _add(a: Any, b: Any) -> Any:
    return a if b is None else b if a is None else a + b
