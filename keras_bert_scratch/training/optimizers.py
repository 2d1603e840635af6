"""BertAdamW: the optimizer of Google's code, and what it has in common with `Lamb`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.training.gradients import add_here, dense, global_norm, summed_over_replicas
from keras_bert_scratch.training.loss_scale import scale_variables
from keras_bert_scratch.training.train_function import EvaluationFunction, TrainFunction

# By a weight's path: biases and LayerNorms are not decayed (`exclude_from_weight_decay` in Google's optimization.py).
NOT_DECAYED = re.compile(r"bias$|layer_norm/")

EMBEDDINGS = re.compile(r"(^|/)embeddings/")
ENCODER_BLOCK = re.compile(r"(^|/)encoder_block_(?P<number>\d+)/")


def rate_shares(paths: Sequence[str], layer_decay: float) -> list[float]:
    """Which share of the learning rate each weight gets, by its path: the nearer to the input, the smaller.

        share = layer_decay^(layers + 2 - depth)

    The depth of the embeddings is 0, of block k (from 0) k + 1, of pooler and heads layers + 2, as in `_get_layer_lrs`
    of ELECTRA's code, which leaves out layers + 1 too (Clark et al. 2020; for BERT first Sun et al. 2019).

    Args:
        paths: of all weights that are trained; the highest block among them says how many layers there are.
        layer_decay: 1.0 gives every weight the whole rate.

    Example:
        >>> rate_shares(["embeddings/token_embedding", "encoder_block_0/output/kernel", "pooler/dense/kernel"], 0.5)
        [0.125, 0.25, 1.0]
    """
    blocks = {path: int(found["number"]) for path in paths if (found := ENCODER_BLOCK.search(path))}
    layers = max(blocks.values(), default=-1) + 1

    def depth(path: str) -> int:
        if path in blocks:
            return blocks[path] + 1
        return 0 if EMBEDDINGS.search(path) else layers + 2

    return [layer_decay ** (layers + 2 - depth(path)) for path in paths]


class MomentOptimizer(keras.optimizers.Optimizer):
    """What `BertAdamW` and `Lamb` share: one update under any strategy, moments, what is not decayed, rate by depth.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2

    `apply` first adds up the gradients of all replicas; only their sum is clipped, as on one device (Keras clips each
    replica's own before). From there on every replica does the same to its own copy of the weights.

    Args: those of `BertAdamW`.
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
        super().__init__(learning_rate=learning_rate, global_clipnorm=global_clipnorm, name=name)
        self.decay_rate = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.layer_decay = layer_decay
        self._loss_scale = None

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._trained = variables
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        paths = [variable.path for variable in variables]
        self._decayed = [NOT_DECAYED.search(path) is None for path in paths]
        self._rate_shares = rate_shares(paths, self.layer_decay)

    def train_function(self, model: Any) -> TrainFunction:
        """What `model.fit` calls for every step of `model`, which was compiled with this optimizer."""
        return TrainFunction(model)

    def test_function(self, model: Any) -> EvaluationFunction:
        """What `model.evaluate` calls for every batch."""
        return EvaluationFunction(model)

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        """Adds up the replicas' gradients and updates the weights; called in each replica, with its own gradients."""
        if not self.built:
            self.build(list(trainable_variables))
        given = {id(v): g for v, g in zip(trainable_variables or self._trained, grads, strict=True)}
        grads = summed_over_replicas([dense(given.get(id(variable))) for variable in self._trained])
        self.update(grads, global_norm(grads), tf.cast(self.learning_rate, tf.float32))
        self.count_step()

    def update(self, grads: Sequence[Any], norm: Any, rate: Any) -> Any:
        """Updates the weights in this replica, by gradients that are the same in every replica.

        Args:
            grads: one per weight that the optimizer was built for, `None` where there is none.
            norm: their global norm.
            rate: the learning rate.
        """
        numbers = [number for number, gradient in enumerate(grads) if gradient is not None]
        t = tf.cast(self.iterations, tf.float32) + 1.0
        return self._update_all({number: tf.cast(grads[number], tf.float32) for number in numbers}, norm, rate, t)

    def count_step(self) -> None:
        """Counts a step, in this replica."""
        add_here(self.iterations, tf.ones((), self.iterations.dtype))

    def loss_scale_variables(self, first: float) -> tuple[Any, Any]:
        """Where a `LossScale` is kept."""
        if self._loss_scale is None:
            self._loss_scale = scale_variables(self.add_variable, first)
        return self._loss_scale

    # As one compiled program, a weight is read and written once; by single operations it is four times the work.
    @tf.function(autograph=False, jit_compile=True)
    def _update_all(self, grads: dict[int, Any], norm: Any, rate: Any, t: Any) -> Any:
        # One factor for all: 1 where the norm is within the bound.
        bound = self.global_clipnorm
        factor = 1.0 if bound is None else bound / tf.maximum(norm, bound)
        for number, gradient in grads.items():
            gradient = gradient * factor
            weight, m, v = (of[number] for of in (self._trained, self._momentums, self._velocities))
            add_here(m, (gradient - m.value) * (1 - self.beta_1))
            add_here(v, (tf.square(gradient) - v.value) * (1 - self.beta_2))
            update = self._update_of(number, m.value, v.value, t)
            add_here(weight, -rate * self._rate_shares[number] * update)
        return tf.constant(0)

    def _update_of(self, number: int, m: Any, v: Any, t: Any) -> Any:
        """What weight `number` moves by per unit of the rate, from its moments after step `t`."""
        raise NotImplementedError

    def _corrected(self, m: Any, v: Any, t: Any) -> Any:
        """m / (sqrt(v) + epsilon), the bias of both taken out (Kingma & Ba 2015, algorithm 1)."""
        return m / (1 - self.beta_1**t) / (tf.sqrt(v / (1 - self.beta_2**t)) + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "layer_decay", "global_clipnorm")}
        rate = super().get_config()["learning_rate"]
        return {"name": self.name, "learning_rate": rate, **own, "weight_decay": self.decay_rate}


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertAdamW(MomentOptimizer):
    """Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), as BERT was trained with.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2
        w = w - learning_rate (m / (sqrt(v) + epsilon) + weight_decay w)

    Google's code leaves out Adam's bias correction, so that the first steps are larger; so does this, unless asked.
    Biases and LayerNorm weights are not decayed. Gradients are first clipped to a global norm of 1.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: share of a weight taken away per unit of learning rate.
        beta_1, beta_2, epsilon: Adam's.
        layer_decay: what the learning rate is multiplied by per layer downwards, as in `rate_shares`.
        global_clipnorm: bound of the norm over all gradients; `None` for none.
        bias_correction: whether to divide the moments by 1 - beta^t.

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
            update = update + self.decay_rate * self._trained[number].value
        return update

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bias_correction": self.bias_correction}
