"""Gradients across the replicas of a `tf.distribute` strategy, and one replica's access to its copy of a variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def dense(gradient: Any) -> Any:
    """A gradient as a dense tensor: an embedding's has one row per position, and the rows of each token are summed.

    Keras clips and squares the rows of a repeated token separately, which differs from the formulas.
    """
    return None if gradient is None else tf.convert_to_tensor(gradient)


def sum_over_replicas(grads: Sequence[Any]) -> list[Any]:
    """The sum of each tensor over all replicas, `None` where there is none; to be called in replica context."""
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
    """The root of the sum of all squares, float32; not finite if any gradient is not finite."""
    squares = [tf.nn.l2_loss(tf.cast(gradient, tf.float32)) for gradient in grads if gradient is not None]
    return tf.sqrt(2.0 * tf.add_n(squares))


def local_handle(variable: Any) -> Any:
    """The resource of this replica's own copy of a Keras variable, for raw operations.

    Keras and `tf.distribute` update all copies at once, in cross-replica context, which is impossible in a `tf.cond`.
    """
    return getattr(variable, "value", variable).handle


def add_locally(variable: Any, amount: Any) -> None:
    """Adds to this replica's copy of a variable."""
    tf.raw_ops.AssignAddVariableOp(resource=local_handle(variable), value=amount)
