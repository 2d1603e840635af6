"""Which devices train together: a `tf.distribute` strategy by name, and each replica's share of every batch."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_bert_scratch.data.batch_shares import local_batch_size
from keras_bert_scratch.errors import UserError, WorkerLostError, user_error_within
from keras_bert_scratch.training.gradients import local_replicas

SECONDS_BEFORE_REMINDER = 30.0

log = logging.getLogger(__name__)

STRATEGIES = ("auto", "none", "mirrored", "multiworker", "tpu")

# Errors that a restart would not fix.
NON_WORKER_ERRORS = (
    tf.errors.DataLossError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnimplementedError,
)
PYTHON_TRACEBACK = "Traceback (most recent call last)"  # a Python exception in the input pipeline

# Maps (worker, number of workers) to the batches of that worker.
BatchesOfWorker = Callable[[int, int], tf.data.Dataset]


def make_strategy(
    name: str = "auto",
    workers: Sequence[str] = (),
    index: int | None = None,
    virtual_devices: int | None = None,
    tpu: str = "",
) -> tf.distribute.Strategy:
    """Creates the strategy `name`. Call it first: TensorFlow fixes its devices with its first operation.

    Args:
        name: str, default "auto". `"none"`: one device. `"mirrored"`: all GPUs of this machine; if it has none, the
            virtual devices of its CPU. `"multiworker"`: several processes, on one or several machines, which are
            listed in `workers` or the environment variable `TF_CONFIG`. `"tpu"`: the TPU called `tpu`. `"auto"`:
            multiworker if several processes are listed, else tpu if there is a TPU, else mirrored if there are several
            devices, else one device.
        workers: sequence of str. `host:port` of every process, in the same order everywhere; the first is the chief.
        index: int or None. Index of this process in `workers`, from 0.
        virtual_devices: int or None. Number of devices to split the CPU into, to try `"mirrored"` on any machine.
        tpu: str. Name or address of a TPU; empty for the one of this machine or of `TPU_NAME`.

    Raises:
        UserError: the requested devices or workers are not available; the message names them.
        WorkerLostError: another worker ended while all were starting.

    Example:
        >>> make_strategy("none").num_replicas_in_sync
        1
    """
    if name not in STRATEGIES:
        raise UserError(f"`strategy`: {name!r} is unknown; choose one of {', '.join(STRATEGIES)}")
    if workers and name not in ("auto", "multiworker"):
        raise UserError(
            f"`workers`: have no effect with `strategy={name!r}`; leave them out, or use `strategy='multiworker'`"
        )
    if index is not None and not workers:
        raise UserError("`index`: has no effect without `workers`; leave it out")
    if virtual_devices is not None:
        _split_processor(virtual_devices)
    if workers:
        _set_tf_config(workers, index)
    if name == "auto":
        name = _auto_strategy_name()
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "multiworker":
        if not _tf_config_workers():
            raise UserError(
                "`strategy='multiworker'`: no workers are listed; give `workers` and `index`, or set TF_CONFIG"
            )
        return _multiworker_strategy()
    if name == "tpu":
        return _tpu_strategy(tpu)
    devices = _devices()
    return tf.distribute.MirroredStrategy(devices)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files: the first of the workers does, or the only one."""
    resolver = strategy.cluster_resolver
    if resolver is None or resolver.task_type is None:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def from_chief(strategy: tf.distribute.Strategy, number: int) -> int:
    """The chief's `number`, in every process; all processes must call this."""
    if strategy.num_replicas_in_sync == 1:
        return number
    mine = number if is_chief(strategy) else 0

    def chiefs_number() -> Any:
        replica = tf.distribute.get_replica_context()
        first = replica.replica_id_in_sync_group == 0
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(first, tf.constant(mine, tf.int64), 0))

    return int(strategy.experimental_local_results(strategy.run(tf.function(chiefs_number)))[0])


def is_worker_lost(strategy: tf.distribute.Strategy, error: tf.errors.OpError) -> bool:
    """Whether an error that is not the user's comes from another worker that is lost."""
    alone = strategy.num_replicas_in_sync == local_replicas(strategy)
    return not (alone or isinstance(error, NON_WORKER_ERRORS) or PYTHON_TRACEBACK in str(error))


@contextlib.contextmanager
def converting_worker_errors(strategy: tf.distribute.Strategy, path: Path) -> Iterator[None]:
    """Converts TensorFlow's errors: to `WorkerLostError` if another worker of the run in `path` is lost, or to the
    `UserError` that the input pipeline raised. All other errors pass."""
    try:
        yield
    except tf.errors.OpError as error:
        if user_error := user_error_within(error):
            raise user_error from None
        if not is_worker_lost(strategy, error):
            raise
        raise WorkerLostError(f"{path}: another worker is lost ({_first_line(error)})") from None


def check_batch(strategy: tf.distribute.Strategy, batch_size: int) -> None:
    """Raises `UserError` unless the replicas can share a batch of `batch_size` rows equally."""
    local_batch_size(batch_size, strategy.num_replicas_in_sync, "replicas")


def distributed(strategy: tf.distribute.Strategy, batch_size: int | None, batches: BatchesOfWorker) -> Any:
    """Batches for `fit` under `strategy`: every replica gets an equal share of each batch, in the order of the rows.

    Args:
        strategy: tf.distribute.Strategy. The strategy that the model was created under.
        batch_size: int or None. Rows of all replicas together; `None` if batches differ.
        batches: callable. Maps `(worker, num_workers)` to the dataset of that worker's slices.

    Raises:
        UserError: the replicas cannot share a batch equally.

    Example:
        >>> batches = distributed(make_strategy("none"), 4, lambda worker, of: tf.data.Dataset.range(8).batch(4 // of))
        >>> next(iter(batches)).numpy().tolist()
        [0, 1, 2, 3]
    """
    if batch_size is not None:
        check_batch(strategy, batch_size)
    if strategy.num_replicas_in_sync == 1:
        return batches(0, 1)
    local = local_replicas(strategy)

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        mine = batches(context.input_pipeline_id, context.num_input_pipelines)
        return mine if local == 1 else mine.flat_map(lambda *batch: _in_pieces(batch, local))

    return strategy.distribute_datasets_from_function(of_worker)


def _in_pieces(batch: Any, pieces: int) -> tf.data.Dataset:
    """Splits one batch into `pieces` smaller ones."""
    first = tf.nest.flatten(batch)[0]
    rows = (first.shape[0] or tf.shape(first, tf.int64)[0]) // pieces
    return tf.data.Dataset.from_tensor_slices(batch).batch(rows, drop_remainder=True)


def _split_processor(devices: int) -> None:
    if devices < 1:
        raise UserError(f"`virtual_devices`: must be at least 1, not {devices}")
    processor = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * devices)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) != devices:
            raise UserError(
                "`virtual_devices`: TensorFlow is already initialized; set them first, or in a new process"
            ) from None


def _set_tf_config(workers: Sequence[str], index: int | None) -> None:
    if index is None or not 0 <= index < len(workers):
        raise UserError(f"`index`: must be this worker's index among the {len(workers)} workers, from 0, not {index}")
    for worker in workers:
        host, _, port = worker.rpartition(":")
        if not (host and port.isdecimal() and 0 < int(port) < 1 << 16):
            raise UserError(f"`workers`: {worker!r} is not a valid host:port; list them like host-a:12345,host-b:12345")
    if len(set(workers)) < len(workers):
        raise UserError(f"`workers`: must all have different addresses, not {', '.join(workers)}")
    os.environ["TF_CONFIG"] = json.dumps(
        {"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}}
    )


def _tf_config_workers() -> list[str]:
    text = os.environ.get("TF_CONFIG", "{}")
    try:
        cluster = json.loads(text).get("cluster", {})
        return [*cluster.get("chief", []), *cluster.get("worker", [])]
    except (ValueError, AttributeError) as error:
        raise UserError(f"TF_CONFIG: is not a JSON object with a cluster ({error}); fix or unset it") from None


def _devices() -> list[str]:
    gpus = tf.config.list_logical_devices("GPU")
    return [device.name for device in gpus or tf.config.list_logical_devices("CPU")]


def _auto_strategy_name() -> str:
    if len(_tf_config_workers()) > 1:
        return "multiworker"
    if os.environ.get("TPU_NAME") or tf.config.list_physical_devices("TPU"):
        return "tpu"
    return "mirrored" if len(_devices()) > 1 else "none"


def _multiworker_strategy() -> tf.distribute.Strategy:
    """Returns when all workers have started; while it waits, a log line says so."""
    message = f"waiting for all workers to start: {', '.join(_tf_config_workers())}"
    reminder = threading.Timer(SECONDS_BEFORE_REMINDER, log.warning, [message])
    reminder.daemon = True
    reminder.start()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError) as error:
        raise WorkerLostError(f"another worker is lost ({_first_line(error)})") from None
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise UserError(
            f"`strategy='multiworker'`: this worker cannot start ({_first_line(error)}); check that nothing else uses "
            f"its port, and the addresses and index in `workers` and `index` or TF_CONFIG"
        ) from None
    finally:
        reminder.cancel()


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
    where = f"one named {tpu!r}" if tpu else f"one of this machine or TPU_NAME ({os.environ.get('TPU_NAME', 'unset')})"
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu or os.environ.get("TPU_NAME", "local"))
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, RuntimeError, OSError, tf.errors.OpError) as error:
        raise UserError(f"`strategy='tpu'`: there is no TPU; looked for {where} ({_first_line(error)})") from None
    return tf.distribute.TPUStrategy(resolver)
