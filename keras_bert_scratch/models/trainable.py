"""HasObjectives: a model that is trained on its own objectives, by `compile(optimizer)` alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.arrays import check_labels, check_sample_weight, weights_by_class
from keras_bert_scratch.models.objectives import Objective, by_objective

try:  # private to Keras: callbacks look up the direction of a metric only in such a list
    from keras.src.trainers.compile_utils import MetricsList
except ImportError as error:
    raise ImportError(
        f"keras {keras.__version__}: has no MetricsList; install the version in constraints.txt"
    ) from error

# Methods that Keras's step calls and ours does not: a user's subclass that defines one gets Keras's step.
KERAS_STEP_METHODS = ("train_step", "test_step", "compute_loss", "compute_metrics")
# Methods of Keras's trainer that our step overrides; the first one is private to Keras.
OVERRIDDEN = ("_maybe_symbolic_build", "make_train_function", "make_test_function")
log = logging.getLogger(__name__)


class ObjectiveMean(keras.metrics.Mean):
    """The mean of a loss or score over all positions that count.

    Args:
        name: str. Name of the metric.
        direction: `"max"` or `"min"`. Whether higher or lower is better; callbacks such as `EarlyStopping` read it.
        finish: callable. Maps the mean to the result.
    """

    def __init__(self, name: str, direction: str, finish: Any) -> None:
        super().__init__(name=name, dtype="float32")
        self._direction = {"max": "up", "min": "down"}[direction]
        self._finish = finish

    def add(self, total: Any, weight: Any) -> None:
        """Adds a batch: the weighted sum of its values, and the sum of its weights."""
        self.total.assign_add(total)
        self.count.assign_add(weight)

    def result(self) -> Any:
        return self._finish(super().result())


class ObjectiveMetrics(MetricsList):
    """The metrics of all objectives of a model as one: their losses, if there are several, and their scores.

    Args:
        objectives: dict of str to Objective. The model's objectives.
    """

    def __init__(self, objectives: Mapping[str, Objective]) -> None:
        self._losses = {
            name: ObjectiveMean(f"{name}_loss", "min", lambda mean: mean) for name in objectives if name != ""
        }
        self._scores = {
            name: ObjectiveMean(f"{name}_{of.score}".lstrip("_"), of.direction, of.finish)
            for name, of in objectives.items()
        }
        super().__init__([*self._losses.values(), *self._scores.values()], name="objectives")

    def add(self, name: str, loss: Any, score: Any, weight: Any) -> None:
        """Adds the sums of an objective over a batch."""
        if name in self._losses:
            self._losses[name].add(loss, weight)
        self._scores[name].add(score, weight)

    def result(self) -> dict[str, Any]:
        return {metric.name: metric.result() for metric in self.metrics}


class HasObjectives:
    """A model that defines its training in `objectives`, so that `compile(optimizer)` needs no loss and no metrics.

    With one of our optimizers (`BertAdamW`, `Lamb`), `fit` and `evaluate` run our own step, which is correct under
    every `tf.distribute` strategy; freezing weights takes effect at the next `fit`. With another optimizer, or with a
    loss or metrics from the user, they run Keras's step, on any backend.
    """

    # Set by our subclasses.
    objectives: dict[str, Objective]
    # Defined by Keras's classes.
    compute_dtype: str
    optimizer: Any
    output: Any
    losses: list[Any]
    run_eagerly: bool
    jit_compile: bool
    steps_per_execution: int
    trainable_variables: list[Any]
    train_function: Any = None
    test_function: Any = None

    accumulate: int = 1
    own_step: bool = False
    _own_loss: bool = False
    _objective_metrics: ObjectiveMetrics | None = None

    def count_tokens(self, inputs: Any) -> tuple[Any, Any]:
        """How many tokens a batch has, and how many positions, padding included: two integers."""
        raise NotImplementedError(f"{type(self).__name__} must define count_tokens(inputs)")

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        accumulate: int = 1,
        **kwargs: Any,
    ) -> None:
        """Keras's `compile`, with the model's own objectives unless a loss or metrics are given.

        Args:
            optimizer: keras.optimizers.Optimizer or str, default `"rmsprop"`. `BertAdamW` or `Lamb` select our step.
            loss: as in Keras, default `None`: the model's objectives. Any other loss selects Keras's step.
            loss_weights: as in Keras, default `None`. Weights of the losses in `loss`; the objectives have their own.
            metrics, weighted_metrics: as in Keras, default `None`: the scores of the objectives. Any other metrics
                select Keras's step.
            accumulate: int, default 1. Number of parts of a batch that are computed one after another, to save memory;
                the update is that of the whole batch. Requires our step.
            kwargs: as in Keras, except for `jit_compile`: by default XLA compiles the forward and backward pass of our
                step on a GPU or TPU only, where it pays; it always compiles the update.

        Raises:
            UserError: an argument is invalid, alone or in combination with another one.
        """
        if accumulate < 1 or accumulate != int(accumulate):
            raise UserError(f"`accumulate`: must be a whole number of at least 1, not {accumulate}")
        if loss is None and loss_weights is not None:
            raise UserError("`loss_weights`: needs `loss`; the objectives of the model have their own `loss_weight`")
        if loss is None and not self.objectives:
            raise UserError(f"`loss`: a {type(self).__name__} has no objective of its own; give a loss")
        given = {"loss": loss, "metrics": metrics, "weighted_metrics": weighted_metrics}
        foreign = [f"`{name}`" for name, value in given.items() if value]
        foreign += [f"{type(self).__name__}.{name}" for name in KERAS_STEP_METHODS if _is_overridden(type(self), name)]
        ours = hasattr(optimizer, "train_function")
        self.own_step = ours and not foreign
        if ours and foreign:
            log.warning(
                "compile: %s: fit and evaluate run Keras's own step, without accumulation, remat, loss scaling by all "
                "replicas and metrics over tokens",
                ", ".join(foreign),
            )
        if accumulate > 1 and not self.own_step:
            raise UserError("`accumulate`: needs BertAdamW or Lamb, and the model's own step, loss and metrics")
        if self.own_step:
            _check_keras()
            if kwargs.get("jit_compile", "auto") == "auto":
                kwargs["jit_compile"] = any(keras.distribution.list_devices(kind) for kind in ("gpu", "tpu"))
        self.accumulate = int(accumulate)
        self._own_loss = loss is None
        own_metrics = loss is None and not metrics and not weighted_metrics
        kwargs.setdefault("auto_scale_loss", not self.own_step)
        super().compile(optimizer, loss, loss_weights, metrics, weighted_metrics, **kwargs)
        # Bypasses Keras's attribute tracking, which would also keep the metrics of an earlier `compile`.
        object.__setattr__(self, "_objective_metrics", ObjectiveMetrics(self.objectives) if own_metrics else None)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # `accumulate` is in the model's config: `clone_model` passes the compile config to a plain Keras model.
        self.compile(**keras.saving.deserialize_keras_object(config), accumulate=self.accumulate)
        self.optimizer.build(self.trainable_variables)

    # --- Keras's step, on our objectives ---

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        if not self._own_loss:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        losses = [ops.sum(extra) for extra in self.losses]
        for name, (loss, _, weight) in self._sums(x, y, y_pred, sample_weight, training).items():
            losses.append(self.objectives[name].loss_weight * ops.divide_no_nan(loss, weight))
        # Keras sums the gradients of the replicas.
        return sum(losses) / getattr(getattr(self, "distribute_strategy", None), "num_replicas_in_sync", 1)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
        if self._objective_metrics is not None:
            for name, sums in self._sums(x, y, y_pred, sample_weight).items():
                self._objective_metrics.add(name, *sums)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _sums(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool = False
    ) -> dict[str, tuple[Any, Any, Any]]:
        labels, sample_weight = by_objective(self.objectives, y, sample_weight)
        return {
            name: of.sums(labels[name], y_pred, of.weights(labels[name], x, sample_weight[name]), training)
            for name, of in self.objectives.items()
        }

    @property
    def metrics(self) -> list[Any]:
        return [*super().metrics, *([] if self._objective_metrics is None else [self._objective_metrics])]

    @property
    def metrics_names(self) -> list[str]:
        """The names of the values that `evaluate` returns, in their order."""
        if self._objective_metrics is None:
            return super().metrics_names
        return ["loss", *sorted(metric.name for metric in self._objective_metrics.metrics)]

    # --- Labels and weights given as arrays ---

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._check_arrays(y, kwargs.get("sample_weight"))
        validation = kwargs.get("validation_data")
        if isinstance(validation, (tuple, list)) and len(validation) > 1:
            self._check_arrays(*validation[1:3])
        return super().fit(x, y, *args, **self._with_class_weight(y, kwargs))

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().train_on_batch(x, y, *args, **self._with_class_weight(y, kwargs))

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        self._check_arrays(y, kwargs.get("sample_weight"))
        # A callback may evaluate within an epoch of `fit`: its sums are not part of this evaluation and continue later.
        train_function, self.train_function = self.train_function, None
        try:
            return super().evaluate(x, y, *args, **kwargs)
        finally:
            self.train_function = train_function

    def _check_arrays(self, y: Any, sample_weight: Any = None) -> None:
        if self._own_loss:
            check_labels(self.objectives, y, self._shape_of_output)
            check_sample_weight(sample_weight)

    def _with_class_weight(self, y: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments, with weights per position instead of `class_weight` where Keras would misinterpret it."""
        class_weight = kwargs.get("class_weight")
        if not self._own_loss or class_weight is None or kwargs.get("sample_weight") is not None:
            return kwargs
        weights = weights_by_class(self.objectives, y, self._shape_of_output, class_weight)
        if weights is None:
            return kwargs
        if kwargs.get("validation_split"):  # the sample weights would apply to the validation data too
            raise UserError(
                "`validation_split`: cannot be used with `class_weight` of positions; give `validation_data`"
            )
        return {**kwargs, "class_weight": None, "sample_weight": weights}

    @property
    def _shape_of_output(self) -> Any:
        return keras.tree.map_structure(lambda tensor: tuple(tensor.shape), self.output)

    # --- Our own step ---

    def make_train_function(self, force: bool = False) -> Any:
        if not self.own_step:
            return super().make_train_function(force)
        # Which weights are frozen may have changed since `compile`.
        if self.train_function is None or force or not self.train_function.trains(self.trainable_variables):
            self.train_function = self.optimizer.train_function(self)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        if not self.own_step:
            return super().make_test_function(force)
        if self.test_function is None or force:
            self.test_function = self.optimizer.test_function(self)
        return self.test_function

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Under a strategy Keras uses a batch to build model, metrics and optimizer, and fails if the replicas have
        # unequal numbers of rows or several workers share it. Our models and metrics are built on construction.
        if self._objective_metrics is None:
            super()._maybe_symbolic_build(iterator, data_batch)
        elif not self.own_step and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    def get_metrics_result(self) -> dict[str, Any]:
        if not self.own_step:
            return super().get_metrics_result()
        functions = [function for function in (self.train_function, self.test_function) if function is not None]
        return next((function.metric_sums.result() for function in functions if function.metric_sums.any), {})

    def reset_metrics(self) -> None:
        for function in (self.train_function, self.test_function) if self.own_step else ():
            if function is not None:
                function.metric_sums.reset()
        super().reset_metrics()


def _is_overridden(cls: type, method: str) -> bool:
    """Whether a user's subclass overrides a method of Keras's step."""
    return getattr(cls, method) is not getattr(HasObjectives, method, getattr(keras.Model, method, None))


def _check_keras() -> None:
    """Raises `UserError` unless this version of Keras has the methods that our step overrides."""
    if missing := [name for name in OVERRIDDEN if not hasattr(keras.Model, name)]:
        raise UserError(
            f"keras {keras.__version__}: its trainer has no {', '.join(missing)}, which the step of BertAdamW and Lamb "
            "overrides; install the version in constraints.txt, or compile with a Keras optimizer"
        )
