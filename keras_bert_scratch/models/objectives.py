"""What a model's outputs are trained on, and how `compile` and `fit` come to know of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


@dataclasses.dataclass(frozen=True)
class Objective:
    """What one output is trained on.

    Args:
        loss: `(labels, outputs)` to the loss of every place, and what is averaged for the score there.
        score: what the score is called.
        finish: what makes the score of that average.
        share: of this loss in the model's.
        keras_loss, keras_metric: make the same for Keras's own `compile`.
    """

    loss: Callable[[Any, Any], tuple[Any, Any]]
    score: str
    finish: Callable[[float], float]
    share: float
    keras_loss: Callable[[], keras.losses.Loss]
    keras_metric: Callable[[], keras.metrics.Metric]


def cross_entropy(labels: Any, logits: Any) -> tuple[Any, Any]:
    """-log softmax(logits)[label] of every place, and whether no other class has a higher logit.

    Args:
        labels: int `(...)`.
        logits: `(..., classes)`.

    Returns: both float32 `(...)`.

    Example:
        >>> loss, right = cross_entropy(ops.array([1, 0]), ops.array([[0.0, 0.0], [0.0, 5.0]]))
        >>> [round(float(value), 3) for value in loss], right.numpy().tolist()
        ([0.693, 5.007], [1.0, 0.0])
    """
    shape, classes = ops.shape(logits)[:-1], logits.shape[-1]
    labels, logits = ops.reshape(ops.cast(labels, "int32"), (-1,)), ops.reshape(logits, (-1, classes))
    loss = _log_loss(labels, ops.cast(logits, "float32"))
    chosen = ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1)[:, 0]
    right = ops.cast(ops.stop_gradient(chosen >= ops.max(logits, axis=-1)), "float32")
    return ops.reshape(loss, shape), ops.reshape(right, shape)


def _log_loss(labels: Any, logits: Any) -> Any:
    """-log softmax(logits)[label] `(n,)` of float32 `(n, classes)`; its gradient is softmax less 1 at the label.

    Written by hand: of a vocabulary's logits every pass counts, and a gather's own gradient is one over all of them.
    """
    at = ops.stack([ops.arange(ops.shape(labels)[0], dtype="int32"), labels], axis=1)

    @ops.custom_gradient
    def loss_of(logits: Any) -> Any:
        shifted = logits - ops.max(logits, axis=-1, keepdims=True)
        chosen = ops.take_along_axis(shifted, ops.expand_dims(labels, -1), axis=-1)[:, 0]
        exponentials = ops.exp(shifted)
        total = ops.sum(exponentials, axis=-1)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            share = upstream / total
            softmax = exponentials * ops.expand_dims(share, -1)
            return ops.scatter_update(softmax, at, ops.exp(chosen) * share - upstream)

        return ops.log(total) - chosen, gradient

    return loss_of(logits)


def squared_error(labels: Any, outputs: Any) -> tuple[Any, Any]:
    """The squared distance of one number from its label, twice; `outputs` may have a last axis of 1."""
    outputs = ops.reshape(ops.cast(outputs, "float32"), ops.shape(labels))
    error = ops.square(outputs - ops.cast(labels, "float32"))
    return error, error


def binary_cross_entropy(labels: Any, logits: Any) -> tuple[Any, Any]:
    """-log sigmoid(logit) where the label is 1, -log(1 - sigmoid(logit)) where it is 0, and whether that is right."""
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    loss = ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
    return loss, ops.cast(ops.equal(ops.cast(logits >= 0, "float32"), labels), "float32")


def several_labels(share: float = 1.0) -> Objective:
    """Binary cross-entropy of each label by itself, the mean over labels and rows; scored by accuracy of labels."""
    return Objective(
        binary_cross_entropy,
        "accuracy",
        lambda mean: mean,
        share,
        lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        lambda: keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
    )


def classes(share: float = 1.0) -> Objective:
    """Cross-entropy, the mean over places by their sample weights, not over rows; scored by accuracy."""
    return Objective(
        cross_entropy,
        "accuracy",
        lambda mean: mean,
        share,
        lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
    )


def score() -> Objective:
    """Squared error; scored by the root of its mean."""
    return Objective(
        squared_error,
        "rmse",
        lambda mean: mean**0.5,
        1.0,
        lambda: keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
        lambda: keras.metrics.RootMeanSquaredError(name="rmse"),
    )


class HasObjectives:
    """`compile(optimizer)` by the model's `objectives`, and `fit` by our own step where the optimizer is ours.

    An optimizer that has `train_function` and `test_function` (`BertAdamW`, `Lamb`) makes the step, which is right
    under every `tf.distribute` strategy. Another optimizer, loss or metric leaves the step to Keras.
    """

    objectives: dict[str, Objective]  # by output; of a single output by the empty name
    accumulate: int = 1
    own_step: bool = False

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        accumulate: int = 1,
        **kwargs: Any,
    ) -> None:
        """Keras's `compile`, with the model's own loss and score unless others are given.

        Args:
            optimizer: `BertAdamW` or `Lamb`, or any of Keras's.
            loss, metrics, weighted_metrics: as in Keras; without them the model's own.
            accumulate: parts that a batch is worked through in, one after another, to save memory; the update is that
                of the whole batch. Needs an optimizer of ours.
            kwargs: as in Keras, but for `jit_compile`: the forward and backward pass of our own step are compiled by
                XLA only where that pays, on a GPU or TPU; the update always is.
        """
        self.own_step = loss is None and not metrics and not weighted_metrics and hasattr(optimizer, "train_function")
        self.accumulate = accumulate
        if self.own_step and kwargs.get("jit_compile", "auto") == "auto":
            kwargs["jit_compile"] = any(keras.distribution.list_devices(kind) for kind in ("gpu", "tpu"))
        if accumulate > 1 and not self.own_step:
            raise ValueError("accumulate: needs BertAdamW or Lamb and the model's own loss and metrics")
        if loss is None:
            loss = {name: objective.keras_loss() for name, objective in self.objectives.items()}
            kwargs.setdefault("loss_weights", {name: objective.share for name, objective in self.objectives.items()})
            if "" in loss:
                loss, kwargs["loss_weights"] = loss[""], None
        if not metrics and not weighted_metrics:
            weighted_metrics = {name: [objective.keras_metric()] for name, objective in self.objectives.items()}
            weighted_metrics = weighted_metrics.get("", weighted_metrics)
        super().compile(
            optimizer=optimizer,
            loss=loss,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            auto_scale_loss=not self.own_step,
            **kwargs,
        )

    def make_train_function(self, force: bool = False) -> Any:
        if not self.own_step:
            return super().make_train_function(force)
        if self.train_function is None or force:
            self.train_function = self.optimizer.train_function(self)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if not self.own_step:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = self.optimizer.test_function(self)
        return self.test_function

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Private to Keras's TensorFlow trainer: under a strategy it takes a batch to build model and metrics with, and
        # fails where several workers share it. Our models are built when they are made.
        if not self.own_step:
            super()._maybe_symbolic_build(iterator, data_batch)

    def get_metrics_result(self) -> dict[str, Any]:
        if not self.own_step:
            return super().get_metrics_result()
        functions = [function for function in (self.train_function, self.test_function) if function is not None]
        found = [function.means.result() for function in functions if function.means.any]
        return found[-1] if found else {}

    def reset_metrics(self) -> None:
        for function in (self.train_function, self.test_function) if self.own_step else ():
            if function is not None:
                function.means.reset()
        super().reset_metrics()
