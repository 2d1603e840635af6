"""What `model.fit` and `model.evaluate` call for every step: right under every `tf.distribute` strategy.

The global batch decides, not a replica's share of it. Sums go between replicas, never means: how much weight all places
of the batch have together is known before the forward pass; each replica divides by that, and so the sum of all
gradients is the gradient of the one loss, whatever each replica got. Only that sum is looked at, clipped and applied.

    weights ─ all-reduce ─► one divisor per loss
    part of the rows ─► forward, backward ─┐  (`accumulate` times)
                                           ├─ all-reduce ─► finite? ─► clip ─► update, in every replica alike
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.layers.dropout import dropout_draws
from keras_bert_scratch.training.gradients import dense, global_norm, replicas_here, summed_over_replicas
from keras_bert_scratch.training.loss_scale import LossScale
from keras_bert_scratch.training.means import Means, Sums

# A batch's inputs, labels and weights; the last two by output.
Batch = tuple[Any, dict[str, Any], dict[str, Any]]


class _Function:
    """What training and evaluation have in common: a batch in every replica, and their sums on the way out.

    Args:
        model: compiled, of one of our classes.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.means = Means(model.objectives)
        self._shares = tf.constant([objective.share for objective in model.objectives.values()])
        self._many = self._graph(self._steps_of)
        self._one = self._graph(self._step_on)

    def __call__(self, iterator: Any) -> dict[str, float]:
        """Takes `steps_per_execution` batches from the iterator; gives the means since the last reset."""
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            results = self._many(iterator)
        else:
            results = self._one(next(iterator))
        sums, read, *rest = (result.numpy() for result in results)
        self.means.add(sums, read)
        self._notice(*rest)
        return self.means.result()

    def _notice(self, *rest: np.ndarray) -> None:
        """Looks at what the steps gave beside their sums."""

    def _graph(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if self.model.run_eagerly:
            return function
        # Only the loop over several steps is Python for autograph to turn into a graph; without it tracing is quicker.
        loops = self.model.steps_per_execution > 1
        return tf.function(function, autograph=loops, reduce_retracing=True)

    def _steps_of(self, iterator: Any) -> tuple[Any, ...]:
        results = self._step_on(next(iterator))
        if self.model.steps_per_execution == 1:
            return results
        for _ in tf.range(self.model.steps_per_execution - 1):
            results = tuple(a + b for a, b in zip(results, self._step_on(next(iterator)), strict=True))
        return results

    def _step_on(self, batch: Any) -> tuple[Any, ...]:
        strategy = self.model.distribute_strategy
        results = strategy.run(self._in_replica, args=(batch, *self._told()))
        return tuple(strategy.experimental_local_results(result)[0] for result in results)  # the same in all of them

    def _told(self) -> tuple[Any, ...]:
        """What every replica is told beside its share of the batch."""
        return ()

    def _in_replica(self, batch: Any, *told: Any) -> tuple[Any, ...]:
        """Works on this replica's share of the batch."""
        raise NotImplementedError

    def _batch_of(self, batch: Any) -> Batch:
        inputs, labels, weights = keras.utils.unpack_x_y_sample_weight(batch)
        names = list(self.model.objectives)
        labels = labels if isinstance(labels, dict) else {names[0]: labels}
        if not isinstance(weights, dict):
            weights = dict.fromkeys(names, weights)
        return inputs, labels, {name: _weights_like(labels[name], weights.get(name)) for name in names}

    def _weights_of_all(self, weights: dict[str, Any]) -> Any:
        """The weight of each output's places in the whole batch, float32 `(outputs,)`."""
        return tf.stack([tf.reduce_sum(weight) for weight in weights.values()])

    def _read(self, inputs: dict[str, Any]) -> Any:
        """How many tokens there are on how many places, float32 `(2,)`."""
        mask = inputs["padding_mask"]
        return tf.cast(tf.stack([tf.reduce_sum(mask), tf.size(mask)]), tf.float32)

    def _sums_of(self, outputs: Any, labels: dict[str, Any], weights: dict[str, Any]) -> Sums:
        outputs = outputs if isinstance(outputs, dict) else dict.fromkeys(self.model.objectives, outputs)
        columns = []
        for name, objective in self.model.objectives.items():
            losses, scores = objective.loss(labels[name], outputs[name])
            weight = tf.reshape(weights[name], tf.shape(losses))  # labels of rows may be (rows, 1)
            columns.append([tf.reduce_sum(weight * losses), tf.reduce_sum(weight * scores), tf.reduce_sum(weight)])
        return Sums(*(tf.stack(row) for row in zip(*columns, strict=True)))

    def _loss_of(self, sums: Any, weight_of_all: Any) -> Any:
        """What is minimised: the sum of the outputs' mean losses, each by its share."""
        return tf.reduce_sum(self._shares * tf.math.divide_no_nan(sums, weight_of_all))


class EvaluationFunction(_Function):
    """`model.evaluate`'s: sums of a batch, over all replicas."""

    def _in_replica(self, batch: Any, *told: Any) -> tuple[Any, ...]:
        inputs, labels, weights = self._batch_of(batch)
        sums = self._sums_of(self.model(inputs, training=False), labels, weights)
        return tuple(summed_over_replicas([tf.stack(sums), self._read(inputs)]))


class TrainFunction(_Function):
    """`model.fit`'s: one update of the weights from a batch of all replicas.

    A step whose gradient is not finite changes no weight; `skipped_now` is how many of the last steps were such.

    Args:
        model: compiled with `BertAdamW` or `Lamb`.
    """

    def __init__(self, model: Any) -> None:
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
            self._scale = LossScale.of(model)
        self.skipped_now = 0
        self.signals = Signals()
        super().__init__(model)
        # Compiled by XLA, or not, each part of a batch alone: between them replicas talk, which XLA cannot on a CPU.
        self._gradients = tf.function(
            self._gradients_of_part, autograph=False, jit_compile=model.jit_compile, reduce_retracing=True
        )
        if model.run_eagerly:
            self._gradients = self._gradients_of_part

    @property
    def rate(self) -> float:
        """The learning rate of the next step; by the clock, of the last one."""
        heard_rate, by_clock, *_ = self.signals.heard
        return float(
            heard_rate / by_clock if by_clock else keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )

    @property
    def searches_scale(self) -> bool:
        """Whether float16's factor can still fall: then a step that overflowed is part of finding it."""
        return self._scale.can_fall

    def _notice(self, skipped: np.ndarray, signals: np.ndarray) -> None:
        self.skipped_now = int(skipped)
        self.signals.heard = signals

    def _told(self) -> tuple[Any, ...]:
        return (self.signals.said.read_value(),)

    def _in_replica(self, batch: Any, *told: Any) -> tuple[Any, ...]:
        inputs, labels, weights = self._batch_of(batch)
        optimizer, scale = self.model.optimizer, self._scale.value()
        replica = tf.distribute.get_replica_context()
        number = tf.cast(replica.replica_id_in_sync_group, tf.int64)
        # Of each worker only the first replica speaks.
        speaks = number % replicas_here(replica.strategy) == 0
        said = tf.where(speaks, told[0], tf.zeros_like(told[0]))
        weight_of_all, read, signals = summed_over_replicas([self._weights_of_all(weights), self._read(inputs), said])

        parts = self.model.accumulate
        first_draw = (tf.cast(optimizer.iterations, tf.int64) * replica.num_replicas_in_sync + number) * parts
        grads, sums = [], tf.zeros((3, len(self.model.objectives)))
        for part in range(parts):
            batch = keras.tree.map_structure(
                lambda rows, part=part: _part_of(rows, part, parts), (inputs, labels, weights)
            )
            # One part after another: side by side, as the graph would have it, they would take the memory of all.
            with tf.control_dependencies([gradient for gradient in grads if gradient is not None]):
                batch = keras.tree.map_structure(tf.identity, batch)
            part_grads, part_sums = self._gradients(*batch, weight_of_all, scale, first_draw + part)
            grads = [_plus(a, b) for a, b in zip(grads, part_grads, strict=True)] if grads else part_grads
            sums = sums + part_sums

        *grads, sums = summed_over_replicas([*grads, sums])
        grads = self._scale.taken_out(grads, scale)
        norm = global_norm(grads)
        finite = tf.math.is_finite(norm)
        rate = tf.where(signals[1] > 0, signals[0], tf.cast(optimizer.learning_rate, tf.float32))
        tf.cond(finite, lambda: optimizer.update(grads, norm, rate), lambda: tf.constant(0))
        optimizer.count_step()
        self._scale.update(finite)
        counted = tf.where(finite, sums, tf.zeros_like(sums))
        return counted, read, tf.cast(~finite, tf.int32), signals

    def _gradients_of_part(
        self, inputs: Any, labels: Any, weights: Any, weight_of_all: Any, scale: Any, draw: Any
    ) -> tuple[list[Any], Any]:
        variables = [variable.value for variable in self.model.trainable_variables]
        with dropout_draws(draw):  # also in the backward pass, which may work a block out again
            with tf.GradientTape() as tape:
                sums = self._sums_of(self.model(inputs, training=True), labels, weights)
                loss = self._loss_of(sums.loss, weight_of_all) * scale
            return [dense(gradient) for gradient in tape.gradient(loss, variables)], tf.stack(sums)


class Signals:
    """What a worker says to all others at each step, and what it heard: the sum of what all said.

    So all workers learn at the same rate and stop after the same step. The numbers: the chief's learning rate, where
    that goes by the clock; whether it does; whether the chief wants the leg to end; whether anyone was terminated.
    """

    def __init__(self) -> None:
        self.said = tf.Variable(tf.zeros(4), trainable=False, name="signals")
        self.heard = np.zeros(4, np.float32)

    def say(self, rate: float | None = None, leg_is_over: bool = False, terminated: bool = False) -> None:
        """What this worker says from the next step on."""
        self.said.assign([float(number or 0.0) for number in (rate, rate is not None, leg_is_over, terminated)])

    @property
    def leg_is_over(self) -> bool:
        """Whether the chief wanted the leg to end with the last step."""
        return bool(self.heard[2] > 0)

    @property
    def all_terminate(self) -> bool:
        """Whether a worker was terminated before the last step."""
        return bool(self.heard[3] > 0)


def _weights_like(labels: Any, weights: Any) -> Any:
    """Of every place of the labels, float32: weights of rows stand for all places of the row, none at all for 1."""
    if weights is None:
        return tf.ones_like(labels, tf.float32)
    rows = tf.concat([tf.shape(weights), tf.ones(tf.rank(labels) - tf.rank(weights), tf.int32)], 0)
    return tf.broadcast_to(tf.reshape(tf.cast(weights, tf.float32), rows), tf.shape(labels))


def _part_of(rows: Any, part: int, parts: int) -> Any:
    """The rows of a part; parts differ by at most one row."""
    if parts == 1:
        return rows
    size = rows.shape[0] if rows.shape[0] is not None else tf.shape(rows)[0]
    return rows[part * size // parts : (part + 1) * size // parts]


def _plus(a: Any, b: Any) -> Any:
    return a if b is None else b if a is None else a + b
