"""Lamb: every weight moves by a share of its own size, which keeps very large batches stable."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.training.optimizers import MomentOptimizer


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Lamb(MomentOptimizer):
    """LAMB, for large batches (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2).

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2
        u = (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay w
        w = w - learning_rate |w| / |u| u      with 1 for |w| / |u| where one of them is 0

    Biases and LayerNorm weights are neither decayed nor scaled by |w| / |u|, as in Google's code (ALBERT's
    `lamb_optimizer.py`). That code leaves out the bias correction; the paper has it, and so has this.
    `keras.optimizers.Lamb` takes the decay off the weights before, outside |u|, and spares no weight the scaling.

    Args: those of `BertAdamW`, without `bias_correction`.

    Example:
        >>> weight = keras.Variable([3.0, 4.0], name="kernel")
        >>> optimizer = Lamb(learning_rate=0.1, weight_decay=0.0)
        >>> optimizer.apply([ops.array([0.1, -0.1])], [weight])  # moves by a tenth of its norm, 5
        >>> [round(float(number), 3) for number in ops.convert_to_numpy(weight)]
        [2.646, 4.354]
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        m, v = self._moments(index, gradient, bias_correction=True)
        update = m / (ops.sqrt(v) + self.epsilon)
        if self._decayed[index]:
            update = update + self.decay_rate * variable
            update = update * _trust_ratio(variable, update)
        rate = ops.cast(learning_rate, variable.dtype) * self._rate_shares[index]
        self.assign_sub(variable, rate * update)


def _trust_ratio(variable: Any, update: Any) -> Any:
    """|w| / |u|, or 1 where one of them is 0."""
    size, step = (ops.sqrt(ops.sum(ops.square(values))) for values in (variable, update))
    return ops.where(ops.logical_and(size > 0, step > 0), size / step, 1.0)
