"""BertAdamW: the optimizer of Google's code, and the base class that it shares with `Lamb`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.training.gradients import add_locally, dense, global_norm, sum_over_replicas
from keras_bert_scratch.training.loss_scale import scale_variables
from keras_bert_scratch.training.step_function import EvaluationFunction
from keras_bert_scratch.training.train_function import TrainFunction

# Paths of weights without decay: biases and LayerNorms (`exclude_from_weight_decay` in Google's optimization.py).
NOT_DECAYED = re.compile(r"bias$|layer_norm/")

EMBEDDINGS = re.compile(r"(^|/)(reverse_)?embeddings/")
POOLER = re.compile(r"(^|/)pooler/")
ENCODER_BLOCK = re.compile(r"(^|/)(encoder|reverse)_block_(?P<number>\d+)/")
TRANSITIONS = re.compile(r"(^|/)crf/")
TRANSITION_RATE = 100.0


def learning_rate_multipliers(paths: Sequence[str], layer_decay: float) -> list[float]:
    """The factor of each weight's learning rate: the closer to the input, the smaller.

        multiplier = layer_decay^(layers above the weight's)

    From the top: heads, the pooler if there is one, the blocks from the last to the first, the embeddings. With decay
    d, a head has the full rate, the pooler d, the top block d^2, or d without a pooler (Clark et al. 2020, ELECTRA;
    for BERT first Sun et al. 2019). ELECTRA's code leaves out d^1, see google-research/electra#51; this does not.

    The transitions of a conditional random field have 100 times the rate. They are log-odds that start from 0: at a
    rate for pretrained weights, such as 5e-5, a thousand steps of Adam would move them by 0.05 at most.

    Args:
        paths: str per weight. Paths of all weights of the model; they determine the number of layers.
        layer_decay: float. 1.0 gives every weight the full rate.

    Example:
        >>> paths = ["embeddings/token_embedding", "encoder_block_0/output/bias", "pooler/dense/bias", "logits/bias"]
        >>> learning_rate_multipliers([*paths, "crf/transitions"], 0.5)
        [0.125, 0.25, 0.5, 1.0, 100.0]
    """
    blocks = {path: int(found["number"]) for path in paths if (found := ENCODER_BLOCK.search(path))}
    layers = max(blocks.values(), default=-1) + 1
    head = layers + 1 + any(POOLER.search(path) for path in paths)

    def depth(path: str) -> int:
        if path in blocks:
            return blocks[path] + 1
        return 0 if EMBEDDINGS.search(path) else layers + 1 if POOLER.search(path) else head

    return [TRANSITION_RATE if TRANSITIONS.search(path) else layer_decay ** (head - depth(path)) for path in paths]


class Slots:
    """The moments of every variable that an optimizer has trained, by the variable's number.

    A plain object, because Keras treats variables in an optimizer's own lists as its state.
    """

    def __init__(self) -> None:
        self.variables: list[Any] = []
        self.numbers: dict[int, int] = {}  # by identity of the variable
        self._momentums: list[Any] = []
        self._velocities: list[Any] = []

    def add(self, variables: Sequence[Any], momentums: Sequence[Any], velocities: Sequence[Any]) -> None:
        """Adds variables with their moments."""
        self.variables += variables
        self._momentums += momentums
        self._velocities += velocities
        self.numbers = {id(variable): number for number, variable in enumerate(self.variables)}

    def of(self, number: int) -> tuple[Any, Any, Any]:
        """A variable and its two moments."""
        return self.variables[number], self._momentums[number], self._velocities[number]


class MomentOptimizer(keras.optimizers.Optimizer):
    """The base of `BertAdamW` and `Lamb`: the same update under any strategy, moments, weight decay, rate by depth.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2

    `apply` first sums the gradients of all replicas; only the sum is clipped, as on one device (Keras clips each
    replica's gradients before the sum). Then every replica applies the same update to its own copy of the weights.

    Moments belong to variables: a weight that is frozen and later trained again keeps its moments, a weight that is
    trained for the first time gets new ones.

    Args: those of `BertAdamW`.

    Raises:
        UserError: Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        layer_decay: float = 1.0,
        global_clipnorm: float | None = 1.0,
        name: str | None = None,
    ) -> None:
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                f"{type(self).__name__}: needs Keras on TensorFlow, not on {keras.backend.backend()}; "
                "compile with a Keras optimizer, such as keras.optimizers.AdamW"
            )
        super().__init__(learning_rate=learning_rate, global_clipnorm=global_clipnorm, name=name)
        self.decay_rate = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.layer_decay = layer_decay
        self._loss_scale = None
        self._slots = Slots()
        self._loaded: dict[str, Any] = {}  # moments of variables that are not built yet

    def build(self, variables: list[Any], paths: Sequence[str] = ()) -> None:
        """Creates moments for the variables that have none.

        Args:
            variables: list of keras.Variable. The variables to train.
            paths: str per weight, default those of `variables`. Paths of all weights of the model, trained or not.

        Raises:
            UserError: the optimizer has trained another model.
        """
        slots = self._slots
        known = {variable.path for variable in slots.variables}
        new = [variable for variable in variables if id(variable) not in slots.numbers]
        if taken := [variable.path for variable in new if variable.path in known]:
            raise UserError(f"{self.name}: has the moments of another model's {taken[0]}; create a new optimizer")
        if new:
            momentums, velocities = self.add_optimizer_variables(new, ["momentum", "velocity"])
            slots.add(new, momentums, velocities)
            super().build(list(slots.variables))
            for moment in (*momentums, *velocities):
                loaded = self._loaded.pop(moment.name, None)
                if loaded is not None and loaded.shape == tuple(moment.shape):
                    moment.assign(loaded)
        own = [variable.path for variable in slots.variables]
        paths = list(dict.fromkeys([*paths, *own]))
        multipliers = dict(zip(paths, learning_rate_multipliers(paths, self.layer_decay), strict=True))
        self._decayed = [
            NOT_DECAYED.search(variable.path) is None and self._use_weight_decay(variable)
            for variable in slots.variables
        ]
        self._multipliers = [multipliers[path] for path in own]
        # Compiled as one program, it reads and writes each weight once; as single operations it is four times the work.
        self._update = tf.function(self._update_all, autograph=False, jit_compile=True)

    def train_function(self, model: Any) -> TrainFunction:
        """The function that `model.fit` calls for every step of `model`, which was compiled with this optimizer."""
        return TrainFunction(model)

    def test_function(self, model: Any) -> EvaluationFunction:
        """The function that `model.evaluate` calls for every batch."""
        return EvaluationFunction(model)

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Sums the replicas' gradients and updates the weights; called in each replica with its own gradients."""
        variables = list(self._slots.variables if trainable_variables is None else trainable_variables)
        if any(id(variable) not in self._slots.numbers for variable in variables):
            self.build(variables)
        grads = sum_over_replicas([dense(gradient) for gradient in grads])
        self.update(variables, grads, global_norm(grads), tf.cast(self.learning_rate, tf.float32))
        self.count_step()

    def update(self, variables: Sequence[Any], grads: Sequence[Any], norm: Any, rate: Any) -> Any:
        """Updates the weights in this replica, with gradients that are the same in every replica.

        Args:
            variables: sequence of keras.Variable. The weights; `build` must have been called with them.
            grads: sequence of tensors. One for each weight, `None` where there is none.
            norm: float32 scalar. The gradients' global norm.
            rate: float32 scalar. The learning rate.
        """
        t = tf.cast(self.iterations, tf.float32) + 1.0
        by_number: list[Any] = [None] * len(self._slots.variables)
        for variable, gradient in zip(variables, grads, strict=True):
            by_number[self._slots.numbers[id(variable)]] = None if gradient is None else tf.cast(gradient, tf.float32)
        return self._update(by_number, norm, rate, t)

    def count_step(self) -> None:
        """Increments the number of steps in this replica."""
        add_locally(self.iterations, tf.ones((), self.iterations.dtype))

    def loss_scale_variables(self, first: float) -> tuple[Any, Any]:
        """The variables of a `LossScale`, which are part of the optimizer's state."""
        if self._loss_scale is None:
            self._loss_scale = scale_variables(self.add_variable, first)
        return self._loss_scale

    def save_own_variables(self, store: Any) -> None:
        for variable in self.variables:
            store[variable.name] = keras.ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Any) -> None:
        # By name, not by position as in Keras: the set of trained weights may have changed since.
        if "loss_scale" in store:
            self.loss_scale_variables(1.0)
        for variable in self.variables:
            if variable.name in store:
                variable.assign(store[variable.name])
        # Kept, because `load_weights` may be called before `build`, and frozen weights may be trained later.
        unbuilt = set(store.keys()) - {variable.name for variable in self.variables}
        self._loaded = {name: np.asarray(store[name]) for name in unbuilt}

    def _update_all(self, grads: list[Any], norm: Any, rate: Any, t: Any) -> Any:
        # One factor for all gradients: 1 if the norm is within the bound.
        bound = self.global_clipnorm
        factor = 1.0 if bound is None else bound / tf.maximum(norm, bound)
        for number, gradient in enumerate(grads):
            if gradient is None:
                continue
            gradient = gradient * factor
            weight, m, v = self._slots.of(number)
            add_locally(m, (gradient - m.value) * (1 - self.beta_1))
            add_locally(v, (tf.square(gradient) - v.value) * (1 - self.beta_2))
            update = self._update_of(number, m.value, v.value, t)
            add_locally(weight, -rate * self._multipliers[number] * update)
        return tf.constant(0)

    def _update_of(self, number: int, m: Any, v: Any, t: Any) -> Any:
        """The change of weight `number` per unit of the learning rate, from its moments after step `t`."""
        raise NotImplementedError

    def _corrected(self, m: Any, v: Any, t: Any) -> Any:
        """m / (sqrt(v) + epsilon) with the bias of both moments corrected (Kingma & Ba 2015, algorithm 1)."""
        return m / (1 - self.beta_1**t) / (tf.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "layer_decay", "global_clipnorm")}
        rate = super().get_config()["learning_rate"]
        return {"name": self.name, "learning_rate": rate, **own, "weight_decay": self.decay_rate}


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertAdamW(MomentOptimizer):
    """Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), as in the training of BERT.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2
        w = w - learning_rate (m / (sqrt(v) + epsilon) + weight_decay w)

    Like Google's code, it leaves out Adam's bias correction by default, so that the first steps are larger.
    Biases and LayerNorm weights are not decayed, nor are those named by `exclude_from_weight_decay`. Gradients are
    first clipped to a global norm of 1.

    Args:
        learning_rate: float or keras LearningRateSchedule, default 1e-4.
        weight_decay: float, default 0.01. Fraction of a weight that is subtracted per unit of learning rate.
        beta_1: float, default 0.9. Decay rate of the first moment.
        beta_2: float, default 0.999. Decay rate of the second moment.
        epsilon: float, default 1e-6. Added to the root of the second moment.
        layer_decay: float, default 1.0. Factor of the learning rate per layer downwards, as in
            `learning_rate_multipliers`.
        global_clipnorm: float or `None`, default 1.0. Bound of the norm over all gradients; `None` for no clipping.
        bias_correction: bool, default `False`. Whether to divide the moments by 1 - beta^t.
        name: str, default `"bert_adamw"`.

    Example:
        >>> optimizer = BertAdamW(learning_rate=1e-4)
        >>> optimizer.decay_rate, optimizer.global_clipnorm
        (0.01, 1.0)
    """

    def __init__(
        self, learning_rate: Any = 1e-4, *, bias_correction: bool = False, name: str = "bert_adamw", **kwargs: Any
    ) -> None:
        super().__init__(learning_rate, name=name, **kwargs)
        self.bias_correction = bias_correction

    def _update_of(self, number: int, m: Any, v: Any, t: Any) -> Any:
        update = self._corrected(m, v, t) if self.bias_correction else m / (tf.sqrt(v) + self.epsilon)
        if self._decayed[number]:
            update = update + self.decay_rate * self._slots.variables[number].value
        return update

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bias_correction": self.bias_correction}
