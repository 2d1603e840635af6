"""Lamb: every weight moves by a fraction of its own norm, which keeps training with very large batches stable."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.training.optimizers import MomentOptimizer


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Lamb(MomentOptimizer):
    """LAMB, for large batches (You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2)::

        m = beta_1 m + (1 - beta_1) g          v = beta_2 v + (1 - beta_2) g^2
        u = (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon) + weight_decay w
        w = w - learning_rate |w| / |u| u      with 1 for |w| / |u| where one of them is 0

    Biases and LayerNorm weights are neither decayed nor scaled by `|w| / |u|`, as in Google's code (ALBERT's
    `lamb_optimizer.py`). That code leaves out the bias correction; the paper and this class have it.
    `keras.optimizers.Lamb` applies the decay to the weights beforehand, outside `|u|`, and scales every weight.

    Args: those of `BertAdamW`, without `bias_correction`.

    Example:
        >>> from keras import ops
        >>> weight = keras.Variable([3.0, 4.0], name="kernel")
        >>> optimizer = Lamb(learning_rate=0.1, weight_decay=0.0)
        >>> optimizer.apply([ops.array([0.1, -0.1])], [weight])  # moves by a tenth of its norm, 5
        >>> [round(float(number), 3) for number in ops.convert_to_numpy(weight)]
        [2.646, 4.354]
    """

    def _update_of(self, number: int, m: Any, v: Any, t: Any) -> Any:
        update = self._corrected(m, v, t)
        if self._decayed[number]:
            value = tf.convert_to_tensor(self._slots.variables[number].value)
            update = update + self.decay_rate * value
            update = update * _trust_ratio(value, update)
        return update


def _trust_ratio(value: Any, update: Any) -> Any:
    """|w| / |u|, or 1 where one of them is 0."""
    size, step = tf.norm(value), tf.norm(update)
    return tf.where((size > 0) & (step > 0), size / step, 1.0)
