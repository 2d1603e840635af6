"""LossScale: the factor that keeps float16 gradients from underflowing, adapted during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch.training.gradients import local_handle

FIRST_SCALE = 2.0**15
STEPS_TO_DOUBLE = 2000


class LossScale:
    """A factor of the loss; halves when the gradient of all replicas overflows, doubles after 2000 good steps.

    Micikevicius et al. 2018, "Mixed Precision Training", section 3.2, with the dynamic rule of section 5 of NVIDIA's
    guide. Without float16 it is always 1.

    Args:
        scale: float32 variable or `None`, default `None`. The factor; `None` for no scaling.
        good_steps: float32 variable or `None`, default `None`. Number of finite steps in a row.
    """

    def __init__(self, scale: Any = None, good_steps: Any = None) -> None:
        self._scale = scale
        self._good_steps = good_steps

    @classmethod
    def of(cls, model: Any) -> LossScale:
        """The scale stored with the optimizer of `model`, so that it is part of every checkpoint."""
        if model.compute_dtype != "float16":
            return cls()
        return cls(*model.optimizer.loss_scale_variables(FIRST_SCALE))

    def value(self) -> Any:
        """The factor, from this replica's copy."""
        return tf.ones(()) if self._scale is None else tf.convert_to_tensor(self._scale.value)

    @property
    def can_fall(self) -> bool:
        """Whether the factor can still fall: it scales, by more than 1."""
        return self._scale is not None and float(keras.ops.convert_to_numpy(self._scale)) > 1

    def unscaled(self, grads: Sequence[Any], scale: Any) -> list[Any]:
        """The gradients of the unscaled loss."""
        if self._scale is None:
            return list(grads)
        return [None if gradient is None else gradient / scale for gradient in grads]

    def update(self, finite: Any) -> None:
        """Adapts the factor in this replica; all replicas get the same `finite`, so their copies stay equal."""
        if self._scale is None:
            return
        scale, good = self.value(), tf.convert_to_tensor(self._good_steps.value)
        doubled = good + 1 >= STEPS_TO_DOUBLE
        new_scale = tf.where(finite, tf.where(doubled, scale * 2, scale), tf.maximum(scale / 2, 1.0))
        new_good = tf.where(finite & ~doubled, good + 1, 0)
        for variable, new in ((self._scale, new_scale), (self._good_steps, new_good)):
            tf.raw_ops.AssignVariableOp(resource=local_handle(variable), value=tf.cast(new, variable.dtype))


def scale_variables(add_variable: Any, first: float) -> tuple[Any, Any]:
    """The two variables of a `LossScale`, created by an optimizer's `add_variable`."""
    scale = add_variable((), initializer=keras.initializers.Constant(first), name="loss_scale")
    return scale, add_variable((), initializer="zeros", name="good_steps")
