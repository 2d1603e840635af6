"""BertAdamW: the optimizer of Google's code, Adam with the weight decay beside the gradient."""

from __future__ import annotations

import re
from typing import Any

import keras
from keras import ops

# By a weight's path: biases and LayerNorms are not decayed (`exclude_from_weight_decay` in Google's optimization.py).
NOT_DECAYED = re.compile(r"bias$|layer_norm/")


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertAdamW(keras.optimizers.Optimizer):
    """Adam with decoupled weight decay (Kingma & Ba 2015; Loshchilov & Hutter 2019), as BERT was trained with.

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2
        w = w - learning_rate (m / (sqrt(v) + epsilon) + weight_decay w)

    Google's code leaves out Adam's bias correction, so that the first steps are larger; so does this, unless asked.
    Biases and LayerNorm weights are not decayed. Gradients are first clipped to a global norm of 1.

    Args:
        learning_rate: a number or a schedule.
        weight_decay: share of a weight taken away per unit of learning rate.
        beta_1, beta_2, epsilon: Adam's.
        bias_correction: whether to divide the moments by 1 - beta^t.
        global_clipnorm: bound of the norm over all gradients; `None` for none.

    Example:
        >>> optimizer = BertAdamW(learning_rate=1e-4)
        >>> optimizer.decay_rate, optimizer.global_clipnorm
        (0.01, 1.0)
    """

    def __init__(
        self,
        learning_rate: Any = 1e-4,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        bias_correction: bool = False,
        global_clipnorm: float | None = 1.0,
        name: str = "bert_adamw",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, global_clipnorm=global_clipnorm, name=name, **kwargs)
        self.decay_rate = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.bias_correction = bias_correction

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])
        self._decayed = [NOT_DECAYED.search(variable.path) is None for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        self.assign_add(m, (gradient - m) * (1 - self.beta_1))
        self.assign_add(v, (ops.square(gradient) - v) * (1 - self.beta_2))
        update = m / (ops.sqrt(v) + self.epsilon)
        if self.bias_correction:
            step = ops.cast(self.iterations + 1, variable.dtype)
            m_unbiased, v_unbiased = m / (1 - self.beta_1**step), v / (1 - self.beta_2**step)
            update = m_unbiased / (ops.sqrt(v_unbiased) + self.epsilon)
        if self._decayed[index]:
            update = update + self.decay_rate * variable
        self.assign_sub(variable, learning_rate * update)

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon", "bias_correction")}
        return {**super().get_config(), **own, "weight_decay": self.decay_rate}
