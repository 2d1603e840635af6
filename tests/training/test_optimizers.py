"""The optimizer and the schedule against the papers' formulas, step by step in numpy."""

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.training.schedules import WallClockSchedule


def papers_adamw(w, gradients, rate, decay, bias_correction, beta_1=0.9, beta_2=0.999, epsilon=1e-6):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat, v_hat = (m / (1 - beta_1**step), v / (1 - beta_2**step)) if bias_correction else (m, v)
        w = w - rate(step - 1) * (m_hat / (np.sqrt(v_hat) + epsilon) + decay * w)
    return w


@pytest.mark.parametrize("bias_correction", [False, True])
@pytest.mark.parametrize(("name", "decayed"), [("kernel", True), ("bias", False), ("layer_norm/gamma", False)])
def test_adamw_follows_the_formula_for_100_steps(bias_correction, name, decayed):
    chance = np.random.default_rng(0)
    start, gradients = chance.normal(size=7), chance.normal(size=(100, 7)) * 0.1
    schedule = kbs.LinearWarmupDecay(peak=0.01, steps=120, warmup=0.25)
    variable = keras.Variable(start, dtype="float32", name=name.replace("/", "_"))
    variable._path = f"block/{name}"
    optimizer = kbs.BertAdamW(schedule, bias_correction=bias_correction, global_clipnorm=None)
    for gradient in gradients:
        optimizer.apply([keras.ops.array(gradient, "float32")], [variable])
    expected = papers_adamw(start, gradients, lambda step: float(schedule(step)), 0.01 * decayed, bias_correction)
    np.testing.assert_allclose(np.asarray(variable), expected, rtol=2e-4, atol=2e-6)


def test_every_bias_and_layer_norm_is_excluded_and_nothing_else(config):
    model = kbs.BertPretrainer(kbs.BertBackbone(config))
    optimizer = kbs.BertAdamW()
    optimizer.build(model.trainable_variables)
    kept = {v.path for v, decayed in zip(model.trainable_variables, optimizer._decayed, strict=True) if not decayed}
    assert kept == {v.path for v in model.trainable_variables if v.path.split("/")[-1] in ("bias", "gamma", "beta")}
    assert "masked_lm/bias" in kept


def test_the_gradient_is_clipped_over_all_weights():
    a, b = (keras.Variable(np.zeros(2), dtype="float32", name=name) for name in "ab")
    optimizer = kbs.BertAdamW(learning_rate=1.0, beta_1=0.0, beta_2=0.0, epsilon=1e6, weight_decay=0.0)
    optimizer.apply([keras.ops.array([3.0, 0.0]), keras.ops.array([0.0, 4.0])], [a, b])
    # With so large an epsilon the step is the clipped gradient over it: (3, 4) of norm 5 becomes (0.6, 0.8).
    np.testing.assert_allclose(np.asarray(a) * 1e6, [-0.6, 0], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(b) * 1e6, [0, -0.8], rtol=1e-4)


def test_optimizer_and_schedule_come_back_from_their_configs():
    schedule = kbs.LinearWarmupDecay(peak=0.5, steps=10, warmup=0.3)
    optimizer = kbs.BertAdamW(schedule, weight_decay=0.1, bias_correction=True)
    back = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert back.get_config() == optimizer.get_config()
    assert (back.decay_rate, back.bias_correction) == (0.1, True)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (5, 0.5), (10, 1.0), (55, 0.5), (100, 0.0), (150, 0.0)])
def test_the_rate_rises_and_falls_in_straight_lines(step, rate):
    assert float(kbs.LinearWarmupDecay(peak=1.0, steps=100, warmup=0.1)(step)) == pytest.approx(rate, abs=1e-6)


def test_the_wall_clock_schedule_goes_by_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = WallClockSchedule(peak=2.0, seconds=10.0, warmup=0.2, spent=1.0)
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(kbs.BertAdamW(0.0))
    clock.set_model(model)
    clock.on_train_begin()
    for passed, rate in ((0.0, 1.0), (1.0, 2.0), (5.0, 1.0), (8.9, 0.025)):  # one second was spent before
        now[0] = 100.0 + passed
        clock.on_train_batch_begin(0)
        assert float(model.optimizer.learning_rate) == pytest.approx(rate, abs=1e-6)
        clock.on_train_batch_end(0)
        assert not getattr(model, "stop_training", False)
    now[0] = 109.1
    clock.on_train_batch_end(0)
    assert model.stop_training
