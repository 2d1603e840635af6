"""Gradients between the replicas of a `tf.distribute` strategy, and variables as one replica sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def dense(gradient: Any) -> Any:
    """A gradient as one tensor: an embedding's comes as a row per position, and the rows of each token are added.

    Keras clips and squares the rows of a repeated token one by one, which is not what the formulas say.
    """
    return None if gradient is None else tf.convert_to_tensor(gradient)


def sum_over_replicas(grads: Sequence[Any]) -> list[Any]:
    """The sum over all replicas of each tensor, `None` where there is none; called in a replica."""
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return list(grads)
    there = [gradient for gradient in grads if gradient is not None]
    sums = iter(replica.all_reduce(tf.distribute.ReduceOp.SUM, there))
    return [None if gradient is None else next(sums) for gradient in grads]


def local_replicas(strategy: tf.distribute.Strategy) -> int:
    """The number of the strategy's replicas in this process."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def global_norm(grads: Sequence[Any]) -> Any:
    """The root of the sum of all squares, float32; not finite if any gradient is not."""
    squares = [tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in grads if gradient is not None]
    return tf.sqrt(2.0 * tf.add_n(squares))


def local_handle(variable: Any) -> Any:
    """The resource of this replica's own copy of a Keras variable, for raw operations.

    Keras and `tf.distribute` update all copies at once, in cross-replica context; that cannot be done in a `tf.cond`.
    """
    return getattr(variable, "value", variable).handle


def add_locally(variable: Any, amount: Any) -> None:
    """Adds to this replica's copy of a variable."""
    tf.raw_ops.AssignAddVariableOp(resource=local_handle(variable), value=amount)
