"""Which strategy a name or the environment selects, and the error if it is not available."""

import json
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import WorkerLostError
from keras_bert_scratch.training import matrix_peak
from keras_bert_scratch.training.signals import Signals
from keras_bert_scratch.training.stopping import CoordinatedStop
from keras_bert_scratch.training.strategies import (
    check_batch,
    converting_worker_errors,
    distributed,
    from_chief,
    is_chief,
    make_strategy,
)


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ({"name": "horovod"}, "`strategy`: 'horovod' is unknown; choose one of auto, none, mirrored"),
        ({"name": "multiworker"}, "`strategy='multiworker'`: no workers are listed"),
        ({"name": "auto", "workers": ["a:1", "b:2"]}, "`index`: must be this worker's index among the 2 workers"),
        ({"name": "auto", "workers": ["a:1", "b:2"], "index": 2}, "`index`: .* not 2"),
        ({"name": "auto", "workers": ["a", "b:2"], "index": 0}, "`workers`: 'a' is not a valid host:port"),
        ({"name": "auto", "workers": ["a:0", "b:2"], "index": 0}, "`workers`: 'a:0' is not a valid host:port"),
        ({"name": "auto", "workers": ["a:99999", "b:2"], "index": 0}, "`workers`: 'a:99999' is not a valid host:port"),
        ({"name": "auto", "workers": [":1", "b:2"], "index": 0}, "`workers`: ':1' is not a valid host:port"),
        ({"name": "auto", "workers": ["a:1", "a:1"], "index": 0}, "`workers`: must all have different addresses"),
        ({"virtual_devices": 0}, "`virtual_devices`: must be at least 1"),
        ({"name": "tpu", "tpu": "my-tpu"}, "`strategy='tpu'`: there is no TPU; looked for one named 'my-tpu'"),
        ({"name": "tpu"}, "`strategy='tpu'`: there is no TPU; looked for one of this machine or TPU_NAME"),
    ],
)
def test_what_is_not_there_is_named(arguments, saying, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    # Connecting would destroy everything that other tests hold on the devices.
    monkeypatch.setattr(tf.config, "experimental_connect_to_cluster", lambda resolver: None)
    with pytest.raises(kbs.UserError, match=saying):
        make_strategy(**arguments)


def test_a_cluster_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(kbs.UserError, match="TF_CONFIG: is not a JSON object"):
        make_strategy("auto")


GONE = tf.errors.UnavailableError(None, None, "worker 1 does not answer\nmore of it")


@pytest.mark.parametrize(
    ("error", "raised", "saying"),
    [
        (
            tf.errors.UnknownError(None, None, "Could not start gRPC server"),
            kbs.UserError,
            r"gRPC server\); check that",
        ),
        (
            ValueError("The `task_id` 7 exceeds the maximum"),
            kbs.UserError,
            r"`strategy='multiworker'`: this worker cann",
        ),
        (GONE, WorkerLostError, r"^another worker is lost \(worker 1 does not answer\)$"),
    ],
)
def test_a_worker_that_cannot_start_says_so_in_a_line(error, raised, saying, monkeypatch):
    def fails():
        raise error

    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1", "b:2"]}}))
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", fails)
    with pytest.raises(raised, match=saying):
        make_strategy("multiworker")


@pytest.mark.parametrize("cluster", [None, {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker"}}])
def test_one_device_where_there_is_one(monkeypatch, cluster):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if cluster:
        monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    strategy = make_strategy("auto")
    assert strategy.num_replicas_in_sync == 1
    assert is_chief(strategy)
    assert from_chief(strategy, 7) == 7


def test_one_replica_has_the_whole_batch():
    batches = distributed(tf.distribute.get_strategy(), 4, lambda worker, of: tf.data.Dataset.range(8).batch(4))
    assert [batch.tolist() for batch in batches.as_numpy_iterator()] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_the_first_ctrl_c_is_a_request_and_the_second_one_raises(capfd):
    before = signal.getsignal(signal.SIGINT)
    stop = CoordinatedStop(clock=None, chief=True)
    stop_listening = stop.listen()
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert (stop.interrupted, stop.aborted) == (True, False)
        assert "press Ctrl-C again to stop without saving a state" in capfd.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert stop.aborted
    finally:
        stop_listening()
    assert signal.getsignal(signal.SIGINT) is before


TWO_WORKERS = SimpleNamespace(num_replicas_in_sync=4, extended=SimpleNamespace(worker_devices=("GPU:0", "GPU:1")))
ONE_WORKER = SimpleNamespace(num_replicas_in_sync=2, extended=SimpleNamespace(worker_devices=("GPU:0", "GPU:1")))
ONE = SimpleNamespace(num_replicas_in_sync=1)
FULL = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
PYTHON = tf.errors.UnknownError(None, None, "KeyError: 3\nTraceback (most recent call last):\n")
DAMAGED = tf.errors.UnknownError(None, None, "UserError: a.tfrecord: record 3 is damaged\nmore of it")


@pytest.mark.parametrize(
    ("strategy", "error", "raised", "saying"),
    [
        (TWO_WORKERS, GONE, WorkerLostError, r"^run: another worker is lost \(worker 1 does not answer\)$"),
        (ONE_WORKER, GONE, tf.errors.UnavailableError, "does not answer"),
        (TWO_WORKERS, PYTHON, tf.errors.UnknownError, "KeyError: 3"),
        (TWO_WORKERS, FULL, tf.errors.ResourceExhaustedError, "OOM"),
        (TWO_WORKERS, DAMAGED, kbs.UserError, r"^a\.tfrecord: record 3 is damaged$"),
        (ONE_WORKER, DAMAGED, kbs.UserError, r"^a\.tfrecord: record 3 is damaged$"),
        (TWO_WORKERS, ValueError("of another kind"), ValueError, "of another kind"),
    ],
)
def test_only_what_starting_again_mends_counts_as_a_lost_worker(strategy, error, raised, saying):
    with pytest.raises(raised, match=saying), converting_worker_errors(strategy, Path("run")):
        raise error


@pytest.mark.parametrize(("gpus", "devices"), [([], 2), (["a", "b"], 4)])
def test_replicas_share_a_processor_but_no_gpu(gpus, devices, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    monkeypatch.setattr(matrix_peak, "matrix_peak", lambda dtype: 100.0)
    assert matrix_peak.peak_of_all(TWO_WORKERS) == 100.0 * devices


@pytest.mark.parametrize(
    ("jobs", "task", "chief"),
    [
        (["worker"], ("worker", 0), True),
        (["worker"], ("worker", 1), False),
        (["chief", "worker"], ("chief", 0), True),
        (["chief", "worker"], ("worker", 0), False),
    ],
)
def test_one_worker_is_the_chief(jobs, task, chief):
    cluster = SimpleNamespace(task_type=task[0], task_id=task[1], cluster_spec=lambda: SimpleNamespace(jobs=jobs))
    assert is_chief(SimpleNamespace(cluster_resolver=cluster)) is chief


@pytest.mark.parametrize(
    ("strategy", "size", "saying"),
    [
        (TWO_WORKERS, 6, "`batch_size`: must be a multiple of 4, the number of replicas, not 6"),
        (ONE, 0, "`batch_size`: must be at least 1"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(strategy, size, saying):
    with pytest.raises(kbs.UserError, match=saying):
        check_batch(strategy, size)


def test_of_several_clocks_the_chiefs_counts():
    clock = SimpleNamespace(rate=0.25, spent=9.0, start=lambda: None)
    sent = {}
    for chief in (True, False):
        stop = CoordinatedStop(clock, chief)
        signals = Signals()
        stop.set_model(SimpleNamespace(train_function=SimpleNamespace(signals=signals)))
        stop.until = 5.0
        stop.on_train_batch_begin(0)
        sent[chief] = signals.sent.numpy().tolist()
    assert sent == {True: [0.25, 1.0, 1.0, 0.0], False: [0.0, 0.0, 0.0, 0.0]}
