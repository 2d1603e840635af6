"""Runs that end early: what they keep, and that they resume exactly."""

import contextlib
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from training.conftest import run_it, weights

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import Stopped
from keras_bert_scratch.training.callbacks import CheckpointSaver, MetricsLog, read_metrics
from keras_bert_scratch.training.options import RunOptions, TrainingOptions
from keras_bert_scratch.training.pretraining import SecondPhase
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.train_function import TrainFunction
from keras_bert_scratch.training.training_state import steps_taken


def test_ctrl_c_that_reaches_us_as_another_error_is_ctrl_c(records, small, monkeypatch):
    """CPython turns Ctrl-C into a SystemError if it arrives within C code that calls Python."""

    def pressed_twice(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        raise SystemError("returned NULL without setting an exception")

    monkeypatch.setattr(TrainFunction, "_graph", pressed_twice)
    with pytest.raises(KeyboardInterrupt):
        run_it(records, small, "run")
    monkeypatch.setattr(TrainFunction, "_graph", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_it(records, small, "run")


@pytest.mark.parametrize("steps", [(33,), pytest.param((2, 33), marks=pytest.mark.slow)], ids=["once", "twice"])
def test_an_interrupted_run_resumes_to_the_same_weights(records, small, interrupted_after, finished, steps):
    held_out = kbs.PretrainingRecords(records)
    for number, step in enumerate(steps, 1):
        interrupted_after(step)
        with pytest.raises(KeyboardInterrupt, match=f"run: stopped at step {step}; the same command resumes"):
            run_it(records, small, "run", held_out=held_out)
        assert not Path("run/model.weights.h5").exists()
        assert {state.name for state in Path("run/training_state").iterdir()} == {
            f"step-{at:08d}" for at in steps[:number]
        }
    run_it(records, small, "run", held_out=held_out)
    resumed, straight = weights("run"), weights(finished)
    assert resumed.keys() == straight.keys()
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value, err_msg=name)
    logged = sorted({20, 40, 60, *steps})  # a run that is interrupted logs its last steps
    assert [row["step"] for row in read_metrics(Path("run/metrics.csv"))] == logged
    read, read_straight = (read_metrics(run / "metrics.csv")[-1]["tokens"] for run in (Path("run"), finished))
    assert read == read_straight
    starts = json.loads(Path("run/run.json").read_text())["starts"]
    assert [start["step"] for start in starts] == [0, *steps]


def test_ctrl_c_in_a_step_loses_nothing_that_follows_it(records, small, monkeypatch, eager_functions):
    """The step, its metrics and the evaluation that is due after it are finished before the run ends."""
    held_out, training = kbs.PretrainingRecords(records), TrainingOptions(steps=4, learning_rate=1e-3)
    settings = {"held_out": held_out, "evaluate_every": 1, "training": training}
    replica_step = TrainFunction._replica_step
    steps = iter([False, True])

    def pressed(self, *arguments):
        if next(steps, False):
            os.kill(os.getpid(), signal.SIGINT)
        return replica_step(self, *arguments)

    with eager_functions():
        straight = run_it(records, small, "straight", **settings)
        monkeypatch.setattr(TrainFunction, "_replica_step", pressed)
        with pytest.raises(KeyboardInterrupt):
            run_it(records, small, "run", **settings)
        stopped = json.loads(Path("run/run.json").read_text())["results"]
        assert stopped["evaluations"] == straight.results["evaluations"][:3]
        assert [row["step"] for row in read_metrics(Path("run/metrics.csv"))] == [3]
        run = run_it(records, small, "run", **settings)
    assert [start["step"] for start in json.loads(Path("run/run.json").read_text())["starts"]] == [0, 3]
    assert run.results == straight.results
    tokens, tokens_straight = (read_metrics(Path(name) / "metrics.csv")[-1]["tokens"] for name in ("run", "straight"))
    assert tokens == tokens_straight


@pytest.mark.usefixtures("eagerly")
def test_a_damaged_state_falls_back_to_the_one_before(records, small, monkeypatch, caplog):
    def save_now_and_then(self, batch, logs=None):
        if steps_taken(self.model) % 2 == 0:
            self.save()

    training = TrainingOptions(steps=5, learning_rate=1e-3)
    run_it(records, small, "straight", training=training)
    monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", save_now_and_then)
    with pytest.raises(kbs.UserError, match="the disk is full"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "finish", full_disk)
        run_it(records, small, "run", training=training)
    kept = sorted(Path("run/training_state").iterdir())
    assert [state.name for state in kept] == ["step-00000004", "step-00000005"]
    file = kept[-1] / "variables.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    run_it(records, small, "run", training=training)
    assert "is damaged (variables.h5 has a wrong checksum); going back to the previous state" in caplog.text
    for name, value in weights("straight").items():
        np.testing.assert_array_equal(weights("run")[name], value, err_msg=name)


def full_disk(self, results):
    raise kbs.UserError("the disk is full")


def test_sigterm_keeps_a_state_and_another_number_of_devices_goes_on(records, small, monkeypatch, eager_functions):
    log = MetricsLog.on_train_batch_end

    def terminated(self, batch, logs=None):
        log(self, batch, logs)
        if steps_taken(self.model) == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(MetricsLog, "on_train_batch_end", terminated)
    with eager_functions(), pytest.raises(Stopped, match="run: stopped at step 5; the same command resumes from there"):
        run_it(records, small, "run", training=TrainingOptions(steps=8))
    assert [state.name for state in Path("run/training_state").iterdir()] == ["step-00000005"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.setattr(MetricsLog, "on_train_batch_end", log)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    assert run_it(records, small, "run", training=TrainingOptions(steps=8), strategy=strategy).results["steps"] == 8
    starts = json.loads(Path("run/run.json").read_text())["starts"]
    assert [(start["step"], start["strategy"]) for start in starts] == [
        (0, "_DefaultDistributionStrategy"),
        (5, "MirroredStrategy"),
    ]


@pytest.mark.usefixtures("eagerly")
def test_only_the_newest_states_are_kept(records, small, monkeypatch):
    seen = []
    save = CheckpointSaver.save

    def look(self):
        save(self)
        seen.append(sorted(state.name for state in Path("run/training_state").iterdir()))

    monkeypatch.setattr(CheckpointSaver, "save", look)
    monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", lambda self, batch, logs=None: self.save())
    run_it(records, small, "run", training=TrainingOptions(steps=4))
    assert seen[-1] == ["step-00000003", "step-00000004"]
    assert not Path("run/training_state").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_skipped_steps_are_counted_on_after_an_interruption_and_in_a_second_phase(records, small, interrupted_after):
    settings = {
        "training": TrainingOptions(steps=40, learning_rate=1e30),
        "options": RunOptions(on_nonfinite="skip"),
        "second_phase": SecondPhase(max_length=48, fraction=0.25, batch_size=2),
    }
    interrupted_after(23)
    with pytest.raises(KeyboardInterrupt):
        run_it(records, small, "run", **settings)
    run_it(records, small, "run", **settings)
    assert [row["skipped"] for row in read_metrics(Path("run/metrics.csv"))] == [18, 21, 28, 38]
