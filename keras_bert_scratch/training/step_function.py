"""Step functions: what `fit` and `evaluate` call for every batch, or for several, on all replicas of a strategy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.models.objectives import by_objective
from keras_bert_scratch.training.gradients import sum_over_replicas
from keras_bert_scratch.training.metric_sums import MetricSums

# A batch's inputs; its labels and the weights of all positions, by objective.
Batch = tuple[Any, dict[str, Any], dict[str, Any]]


class StepFunction:
    """The base of training and evaluation: runs a step in every replica, and adds up the resulting sums.

    Args:
        model: a compiled model with `objectives` and `count_tokens(inputs)`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.metric_sums = MetricSums(model.objectives)
        self._loss_weights = tf.constant([objective.loss_weight for objective in model.objectives.values()])
        self._graphs: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, iterator: Any) -> dict[str, float]:
        """Runs up to `steps_per_execution` batches from the iterator; returns the means since the last reset."""
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            # Autograph turns the loop over several steps into a graph; tracing is faster without it.
            loops = self.model.steps_per_execution > 1
            steps, *results = self._graph(self._steps, iterator.element_spec, autograph=loops)(iterator)
            if not int(steps):
                raise StopIteration
        else:
            # `train_on_batch` passes None if there are no sample weights.
            batch = keras.tree.map_structure(
                lambda part: None if part is None else tf.convert_to_tensor(part), next(iterator)
            )
            results = self._graph(self._step, batch, autograph=False)(batch)
        sums, tokens, *rest = (result.numpy() for result in results)
        self.metric_sums.add(sums, tokens)
        self._notice(*rest)
        return self.metric_sums.result()

    def _notice(self, *rest: np.ndarray) -> None:
        """Stores the results of the steps other than their sums."""

    def _graph(self, function: Callable[..., Any], arguments: Any, **options: Any) -> Callable[..., Any]:
        """The function as a graph for arguments of these ranks; one graph serves all axis sizes."""
        if self.model.run_eagerly:
            return function
        key = (function.__name__, *(getattr(part, "shape", None) and part.shape.rank for part in _leaves(arguments)))
        if key not in self._graphs:
            self._graphs[key] = tf.function(function, reduce_retracing=True, **options)
        return self._graphs[key]

    def _steps(self, iterator: Any) -> tuple[Any, ...]:
        """The number of steps run, fewer than `steps_per_execution` if the batches end, and their summed results."""
        if self.model.steps_per_execution == 1:
            return (1, *self._step(next(iterator)))
        steps, results = tf.constant(0), self._zeros()
        for _ in tf.range(self.model.steps_per_execution):
            batch = iterator.get_next_as_optional()
            if batch.has_value():
                results = tuple(a + b for a, b in zip(results, self._step(batch.get_value()), strict=True))
                steps += 1
        return (steps, *results)

    def _step(self, batch: Any) -> tuple[Any, ...]:
        strategy = self.model.distribute_strategy
        results = strategy.run(self._replica_step, args=(batch, *self._arguments()))
        return tuple(strategy.experimental_local_results(result)[0] for result in results)  # the same in all replicas

    def _zeros(self) -> tuple[Any, ...]:
        """The results of zero steps."""
        return tf.zeros((3, len(self.model.objectives))), tf.zeros(2)

    def _arguments(self) -> tuple[Any, ...]:
        """The arguments of `_replica_step` other than its rows of the batch."""
        return ()

    def _replica_step(self, batch: Any, *arguments: Any) -> tuple[Any, ...]:
        """A step of this replica on its rows of the batch; the results are sums over all replicas."""
        raise NotImplementedError

    def _unpack(self, batch: Any) -> Batch:
        inputs, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        inputs = self.model.named_inputs(inputs)
        labels, sample_weight = by_objective(self.model.objectives, labels, sample_weight)
        weights = {
            name: objective.weights(labels[name], inputs, sample_weight[name])
            for name, objective in self.model.objectives.items()
        }
        return inputs, labels, weights

    def _count_tokens(self, inputs: Any) -> Any:
        """Tokens and positions, float32 `(2,)`."""
        return tf.stack([tf.cast(number, tf.float32) for number in self.model.count_tokens(inputs)])

    def _sums(self, inputs: Any, labels: dict[str, Any], weights: dict[str, Any], training: bool) -> Any:
        """The sums of losses, scores and weights, float32 `(3, objectives)`."""
        outputs = self.model(inputs, training=training)
        columns = [
            objective.sums(labels[name], outputs, weights[name], training)
            for name, objective in self.model.objectives.items()
        ]
        return tf.stack([tf.stack(row) for row in zip(*columns, strict=True)])


class EvaluationFunction(StepFunction):
    """`model.evaluate`'s step function: the sums of a batch, over all replicas."""

    def _replica_step(self, batch: Any, *arguments: Any) -> tuple[Any, ...]:
        inputs, labels, weights = self._unpack(batch)
        sums = self._sums(inputs, labels, weights, training=False)
        return tuple(sum_over_replicas([sums, self._count_tokens(inputs)]))


def _leaves(batch: Any) -> list[Any]:
    """The tensors of a batch, or their specs, those of each replica included."""
    return tf.nest.flatten(batch, expand_composites=True)
