"""The rows of `metrics.csv`, with a clock that the test controls."""

import math
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.training.callbacks import MetricsLog, read_metrics
from keras_bert_scratch.training.metric_sums import MetricSums

COUNTED, SKIPPED = 1, 0


@pytest.fixture
def clock(monkeypatch):
    """A clock that only the test advances."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture
def model():
    """The parts of a model that the log reads: the step, and the results of the train function."""
    sums = MetricSums({"": classification_objective()})
    function = SimpleNamespace(metric_sums=sums, skipped_now=0, rate=0.1)
    return SimpleNamespace(
        train_function=function, optimizer=SimpleNamespace(iterations=np.array(0)), reset_metrics=sums.reset
    )


def step(model, log, clock, seconds, counts=COUNTED):
    """A step of `seconds` that reads 80 tokens in 100 positions, then a pause of nine seconds."""
    log.on_train_batch_begin(0)
    clock.now += seconds
    function = model.train_function
    function.skipped_now = 1 - counts
    function.metric_sums.add(counts * np.array([[2.0], [1.0], [4.0]]), np.array([80.0, 100.0]))
    model.optimizer.iterations = model.optimizer.iterations + 1
    log.on_train_batch_end(0, function.metric_sums.result())
    clock.now += 9.0


def test_rates_are_of_the_time_in_steps_alone(model, clock):
    log = MetricsLog(Path(), log_every=2, peak=1000.0)
    log.set_model(model)
    log.step_flops = 500.0
    for seconds in (1.0, 3.0, 1.0, 1.0):
        step(model, log, clock, seconds)
    rows = read_metrics(Path("metrics.csv"))
    assert [row["step"] for row in rows] == [2, 4]
    assert [row["tokens_per_second"] for row in rows] == [160 / 4, 160 / 2]
    assert [row["mfu"] for row in rows] == [2 * 500 / 4 / 1000, 2 * 500 / 2 / 1000]
    assert [row["non_padding_fraction"] for row in rows] == [0.8, 0.8]
    assert [row["tokens"] for row in rows] == [160, 320]
    assert rows[0]["seconds"] == 13  # the duration of the run includes the pause


def test_where_a_steps_products_are_not_known_there_is_no_mfu(model, clock):
    log = MetricsLog(Path(), log_every=1)
    log.set_model(model)
    step(model, log, clock, 1.0)
    assert "mfu" not in log.latest
    assert "mfu" not in read_metrics(Path("metrics.csv"))[0]


def test_tokens_are_counted_on_also_between_two_rows(model, clock):
    log = MetricsLog(Path(), log_every=2, tokens=1000.0)
    log.set_model(model)
    told = []
    for _ in range(3):
        step(model, log, clock, 1.0)
        told.append(log.tokens)
    log.on_train_end()
    assert told == [1080, 1160, 1240]
    assert [row["tokens"] for row in read_metrics(Path("metrics.csv"))] == [1160, 1240]


def test_the_loss_is_the_mean_of_all_places_by_the_outputs_shares():
    sums = MetricSums({"a": classification_objective(), "b": classification_objective(loss_weight=0.5)})
    sums.add(np.array([[6.0, 8.0], [1.0, 3.0], [3.0, 4.0]]), np.zeros(2))
    sums.add(np.array([[6.0, 0.0], [0.0, 0.0], [1.0, 0.0]]), np.zeros(2))
    assert sums.result() == {
        "loss": 3.0 + 0.5 * 2.0,
        "a_loss": 3.0,
        "a_accuracy": 0.25,
        "b_loss": 2.0,
        "b_accuracy": 0.75,
    }


def test_steps_that_were_skipped_have_no_loss_and_are_counted_on(model, clock):
    log = MetricsLog(Path(), log_every=2, skipped=5)
    log.set_model(model)
    for counts in (SKIPPED, SKIPPED, SKIPPED, COUNTED):
        step(model, log, clock, 1.0, counts)
    first, second = read_metrics(Path("metrics.csv"))
    assert math.isnan(first["loss"])
    assert math.isnan(first["accuracy"])
    assert (second["loss"], second["accuracy"]) == (0.5, 0.25)
    assert (first["skipped"], second["skipped"]) == (7, 8)


def test_a_resumed_run_keeps_the_columns_that_it_logs_no_more(model, clock):
    Path("metrics.csv").write_text("step,loss,padding,mfu\n1,9.0,0.5,0.25\n")  # nor does each row have its seconds
    log = MetricsLog(Path(), log_every=1, first_step=1)
    log.set_model(model)
    model.optimizer.iterations = np.array(1)
    step(model, log, clock, 1.0)
    before, row = read_metrics(Path("metrics.csv"))
    assert before == {"step": 1, "loss": 9.0, "padding": 0.5, "mfu": 0.25}
    assert (row["step"], row["loss"], row["seconds"]) == (2, 0.5, 1.0)
    assert not {"padding", "mfu"} & set(row)
    assert Path("metrics.csv").read_text().startswith("step,loss,padding,mfu,seconds,")
