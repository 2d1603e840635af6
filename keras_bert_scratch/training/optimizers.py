"""BertAdamW: the optimizer of Google's code, and what it has in common with `Lamb`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

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
    """What `BertAdamW` and `Lamb` share: the moments of the gradient, what is not decayed, the rate by depth.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2

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
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, global_clipnorm=global_clipnorm, **kwargs)
        self.decay_rate = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.layer_decay = layer_decay

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        paths = [variable.path for variable in variables]
        self._decayed = [NOT_DECAYED.search(path) is None for path in paths]
        self._rate_shares = rate_shares(paths, self.layer_decay)

    def apply(self, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        # An embedding's gradient comes as one row per place. Keras would clip and square the rows of a repeated token
        # singly; the formulas are about their sum.
        grads = [grad if grad is None else tf.convert_to_tensor(grad) for grad in grads]
        super().apply(grads, trainable_variables)

    def _moments(self, index: int, gradient: Any, bias_correction: bool) -> tuple[Any, Any]:
        """m and v of weight number `index`, `gradient` now in them; `bias_correction` divides them by 1 - beta^t."""
        m, v = self._momentums[index], self._velocities[index]
        gradient = ops.cast(gradient, m.dtype)
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        if not bias_correction:
            return m, v
        step = ops.cast(self.iterations + 1, m.dtype)
        return m / (1 - self.beta_1**step), v / (1 - self.beta_2**step)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "layer_decay")}
        return {**super().get_config(), **own, "weight_decay": self.decay_rate}


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

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, v = self._moments(index, gradient, self.bias_correction)
        update = m / (ops.sqrt(v) + self.epsilon)
        if self._decayed[index]:
            update = update + self.decay_rate * variable
        rate = ops.cast(learning_rate, variable.dtype) * self._rate_shares[index]
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "bias_correction": self.bias_correction}
