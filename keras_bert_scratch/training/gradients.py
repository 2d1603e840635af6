"""Gradients between the replicas of a `tf.distribute` strategy, and variables as one replica sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def dense(gradient: Any) -> Any:
    """An embedding's gradient comes as one row per place; this sums the rows of each token.

    Clipping and squaring rows of a repeated token singly, as Keras does, is not what the formulas say.
    """
    return None if gradient is None else tf.convert_to_tensor(gradient)


def summed_over_replicas(grads: Sequence[Any]) -> list[Any]:
    """Each gradient as the sum of all replicas' own; called in a replica."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return list(grads)
    there = [gradient for gradient in grads if gradient is not None]
    sums = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if gradient is None else next(sums) for gradient in grads]


def replicas_here(strategy: tf.distribute.Strategy) -> int:
    """How many of the strategy's replicas are in this process."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def global_norm(grads: Sequence[Any]) -> Any:
    """The root of the sum of all squares, float32; not finite if any gradient is not."""
    squares = [tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in grads if gradient is not None]
    return tf.sqrt(2.0 * tf.add_n(squares))


def handle_here(variable: Any) -> Any:
    """The resource of this replica's own copy of a Keras variable, which raw operations change.

    Keras and `tf.distribute` change all copies at once, from outside the replicas; that cannot stand in a condition.
    """
    return getattr(variable, "value", variable).handle


def add_here(variable: Any, amount: Any) -> None:
    """Adds to this replica's copy of a variable."""
    tf.raw_ops.AssignAddVariableOp(resource=handle_here(variable), value=amount)
