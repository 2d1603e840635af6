"""Which strategy a name or the environment stands for, and what is said when it is not there."""

import json
import os
import signal

import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.training.steering import Steering
from keras_bert_scratch.training.strategies import distributed, from_chief, is_chief, make_strategy


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ({"name": "horovod"}, "--strategy: 'horovod' is unknown; choose one of auto, none, mirrored"),
        ({"name": "multiworker"}, "--strategy multiworker: no workers are listed"),
        ({"name": "auto", "workers": ["a:1", "b:2"]}, "--index: must tell which of the 2 workers this is"),
        ({"name": "auto", "workers": ["a:1", "b:2"], "index": 2}, "--index: .* not 2"),
        ({"name": "auto", "workers": ["a", "b:2"], "index": 0}, "--workers: 'a' is no host:port"),
        ({"virtual_devices": 0}, "--virtual-devices: must be at least 1"),
        ({"name": "tpu", "tpu": "my-tpu"}, "--strategy tpu: there is no TPU; looked for one called 'my-tpu'"),
        ({"name": "tpu"}, "--strategy tpu: there is no TPU; looked for one of this machine or TPU_NAME"),
    ],
)
def test_what_is_not_there_is_named(arguments, saying, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("TPU_NAME", raising=False)
    with pytest.raises(kbs.UserError, match=saying):
        make_strategy(**arguments)


def test_a_cluster_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(kbs.UserError, match="TF_CONFIG: is no JSON object"):
        make_strategy("auto")


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


def test_a_ctrl_c_that_is_lost_within_a_step_is_raised_at_its_end():
    before = signal.getsignal(signal.SIGINT)
    steering = Steering(clock=None, chief=True)
    stop_listening = steering.listen()
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            steering.on_train_batch_end(0)
    finally:
        stop_listening()
    assert signal.getsignal(signal.SIGINT) is before
