"""The optimizers and the schedule against the papers' formulas, step by step in numpy."""

import functools
import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.training.optimizers import learning_rate_multipliers
from keras_bert_scratch.training.options import TrainingOptions
from keras_bert_scratch.training.schedules import WallClockSchedule

# Weights of a network of two blocks: shape, and how often `layer_decay` multiplies the learning rate.
SHAPES_AND_STEPS_BELOW_THE_HEAD = {
    "embeddings/token_embedding": ((6, 4), 4),
    "embeddings/layer_norm/gamma": ((4,), 4),
    "encoder_block_0/attention/query/kernel": ((4, 4), 3),
    "encoder_block_0/attention/query/bias": ((4,), 3),
    "encoder_block_1/feed_forward/output/kernel": ((5, 4), 2),
    "encoder_block_1/feed_forward_layer_norm/beta": ((4,), 2),
    "pooler/dense/kernel": ((4, 4), 1),
    "logits/kernel": ((4, 3), 0),
}
SPARED = {path for path in SHAPES_AND_STEPS_BELOW_THE_HEAD if path.endswith(("bias", "gamma", "beta"))}
STEPS = 100


def weights_and_gradients():
    """Initial weights, one of them 0, and 100 gradients whose sizes span a factor of ten thousand."""
    rng = np.random.default_rng(0)
    shapes = {path: shape for path, (shape, _) in SHAPES_AND_STEPS_BELOW_THE_HEAD.items()}
    starts = {path: rng.normal(size=shape) for path, shape in shapes.items()}
    starts["logits/kernel"][:] = 0
    sizes = 10 ** rng.uniform(-3, 1, STEPS)
    return starts, [{path: size * rng.normal(size=shape) for path, shape in shapes.items()} for size in sizes]


def rate(step):
    """The learning rate: 0.01 after 30 warmup steps, 0 after 120 steps."""
    return 0.01 * min(step / 30, (120 - step) / 90)


def variable_at(path, value):
    variable = keras.Variable(value, dtype="float32", name=path.replace("/", "_"))
    variable._path = path
    return variable


def trained(optimizer, starts, gradients):
    """The weights after the package's optimizer has seen `gradients`."""
    variables = [variable_at(path, value) for path, value in starts.items()]
    optimizer.build(variables)
    step = tf.function(lambda gradients: optimizer.apply(gradients, variables))
    for gradient in gradients:
        step([tf.constant(gradient[path], "float32") for path in starts])
    return {path: np.asarray(variable) for path, variable in zip(starts, variables, strict=True)}


def by_the_papers(
    kind, starts, gradients, clip, layer_decay, decay=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6, rate=rate
):
    """The same in float64, from the formulas of the papers."""
    w = dict(starts)
    m = {path: np.zeros_like(value) for path, value in w.items()}
    v = {path: np.zeros_like(value) for path, value in w.items()}
    for t, gradient in enumerate(gradients, start=1):
        norm = np.sqrt(sum(np.sum(g**2) for g in gradient.values()))
        for path, g in gradient.items():
            g = g * min(1, clip / norm)
            m[path] = beta_1 * m[path] + (1 - beta_1) * g
            v[path] = beta_2 * v[path] + (1 - beta_2) * g**2
            corrected = kind != "adamw"
            m_hat, v_hat = (m[path] / (1 - beta_1**t), v[path] / (1 - beta_2**t)) if corrected else (m[path], v[path])
            update = m_hat / (np.sqrt(v_hat) + epsilon)
            if path not in SPARED:
                update = update + decay * w[path]
            if path not in SPARED and kind == "lamb":
                w_norm, u_norm = np.linalg.norm(w[path]), np.linalg.norm(update)
                update = update * (w_norm / u_norm if w_norm > 0 and u_norm > 0 else 1)
            factor = layer_decay ** SHAPES_AND_STEPS_BELOW_THE_HEAD[path][1]
            w[path] = w[path] - rate(t - 1) * factor * update
    return w


KINDS = {
    "adamw": kbs.BertAdamW,
    "adamw with bias correction": functools.partial(kbs.BertAdamW, bias_correction=True),
    "lamb": kbs.Lamb,
}


@pytest.mark.parametrize("layer_decay", slow_but([0.8], [1.0, 0.8]))
@pytest.mark.parametrize("clip", slow_but([1.0], [1.0, None]))
@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_follows_the_formula_for_100_steps(kind, clip, layer_decay):
    starts, gradients = weights_and_gradients()
    norms = np.array([np.sqrt(sum(np.sum(g**2) for g in gradient.values())) for gradient in gradients])
    assert 0.3 < np.mean(norms > 1) < 0.7  # so that clipping acts at some steps and not at others
    schedule = kbs.LinearWarmupDecay(peak=0.01, steps=120, warmup=0.25)
    ours = trained(KINDS[kind](schedule, global_clipnorm=clip, layer_decay=layer_decay), starts, gradients)
    expected = by_the_papers(kind, starts, gradients, clip or np.inf, layer_decay)
    for path, weight in expected.items():
        moved, off = np.abs(weight - starts[path]).max(), np.abs(ours[path] - weight).max()
        assert off < 1e-4 * moved, path


def test_lamb_takes_a_ratio_of_1_where_a_norm_is_0():
    starts = {"a/kernel": np.zeros(2), "b/kernel": np.zeros(2), "c/kernel": np.array([3.0, 4.0])}
    gradients = [{"a/kernel": np.array([1e-3, -1e-3]), "b/kernel": np.zeros(2), "c/kernel": np.zeros(2)}]
    moved = trained(kbs.Lamb(0.1, weight_decay=0.0), starts, gradients)
    np.testing.assert_allclose(moved["a/kernel"], [-0.1, 0.1], rtol=2e-3)  # epsilon is a thousandth of the gradient
    np.testing.assert_array_equal(moved["b/kernel"], [0, 0])
    np.testing.assert_array_equal(moved["c/kernel"], [3, 4])


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_repeated_token_count_as_their_sum(kind):
    """The gradient of a lookup has one row per position, so a repeated token has several rows."""
    table = variable_at("embeddings/token_embedding", np.ones((6, 4)))
    other = variable_at("logits/kernel", np.ones((4, 4)))
    optimizer = KINDS[kind](0.01, layer_decay=0.9)
    ids = np.array([2, 5, 2, 2, 0])
    rng = np.random.default_rng(0)
    gradients = []
    for _ in range(10):
        rows, rest = rng.normal(size=(5, 4)), rng.normal(size=(4, 4))
        optimizer.apply(
            [tf.IndexedSlices(tf.constant(rows, "float32"), ids, (6, 4)), keras.ops.array(rest, "float32")],
            [table, other],
        )
        summed = np.zeros((6, 4))
        np.add.at(summed, ids, rows)
        gradients.append({"embeddings/token_embedding": summed, "logits/kernel": rest})
    starts = {"embeddings/token_embedding": np.ones((6, 4)), "logits/kernel": np.ones((4, 4))}
    # There are no blocks and no pooler here: the embeddings are one layer below the head instead of four.
    expected = by_the_papers(kind, starts, gradients, 1.0, 0.9**0.25, rate=lambda step: 0.01)
    np.testing.assert_allclose(np.asarray(table), expected["embeddings/token_embedding"], rtol=1e-5)
    np.testing.assert_allclose(np.asarray(other), expected["logits/kernel"], rtol=1e-5)


class GooglesRate(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of Google's code: after the warmup to 0.01, it drops to the line that falls from 0.01 at step 0."""

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return 0.01 * keras.ops.where(step < 30, step / 30, 1 - step / 120)


def test_adamw_does_what_googles_code_does():
    googles = importlib.import_module("bert.optimization")
    v1 = tf.compat.v1
    starts, gradients = weights_and_gradients()
    # Cached, so that the rate is computed before the step is incremented: Google's graph leaves the order open.
    scope = v1.variable_scope("", use_resource=True, caching_device="/cpu:0")
    with tf.Graph().as_default(), v1.Session() as session, scope:
        given = {path: v1.placeholder(tf.float32, value.shape) for path, value in starts.items()}
        theirs = {path: v1.get_variable(path, initializer=tf.constant(starts[path], tf.float32)) for path in starts}
        loss = sum(tf.reduce_sum(theirs[path] * given[path]) for path in starts)  # its gradients are the placeholders
        step = googles.create_optimizer(loss, 0.01, num_train_steps=120, num_warmup_steps=30, use_tpu=False)
        session.run(v1.global_variables_initializer())
        for gradient in gradients:
            session.run(step, {given[path]: gradient[path] for path in starts})
        theirs = session.run(theirs)
    ours = trained(kbs.BertAdamW(GooglesRate()), starts, gradients)
    for path in starts:
        np.testing.assert_allclose(ours[path], theirs[path], rtol=1e-6, atol=2e-6, err_msg=path)


def test_every_bias_and_layer_norm_is_excluded_and_nothing_else(config):
    model = kbs.BertPretrainer(kbs.BertBackbone(config))
    optimizer = kbs.BertAdamW()
    optimizer.build(model.trainable_variables)
    kept = {v.path for v, decayed in zip(model.trainable_variables, optimizer._decayed, strict=True) if not decayed}
    assert kept == {v.path for v in model.trainable_variables if v.path.split("/")[-1] in ("bias", "gamma", "beta")}
    assert "masked_lm/bias" in kept


# The power of `layer_decay` by the first part of a path, in networks of three blocks.
POWERS = {
    "embeddings": 5,
    "encoder_block_0": 4,
    "encoder_block_1": 3,
    "encoder_block_2": 2,
    "pooler": 1,
    **dict.fromkeys(("logits", "masked_lm", "next_sentence"), 0),
}
WITHOUT_POOLER = {part: max(0, power - 1) for part, power in POWERS.items()}


@pytest.mark.parametrize(
    ("name", "pooler", "arguments"),
    [
        ("BertTextClassifier", True, {"num_classes": 2}),
        ("BertPretrainer", True, {}),
        ("BertMultipleChoice", True, {}),
        ("BertTokenClassifier", True, {"num_classes": 2}),
        ("BertTokenClassifier", False, {"num_classes": 2}),
        ("BertMaskedLM", False, {}),
        ("BertQuestionAnswerer", False, {}),
    ],
)
def test_the_learning_rate_is_smaller_the_nearer_a_weight_is_to_the_input(config, name, pooler, arguments):
    """google-research/electra#51: head 1, pooler d, top block d^2 (d without a pooler), down to the embeddings."""
    model = getattr(kbs, name)(kbs.BertBackbone(config.replace(num_layers=3), pooler=pooler), **arguments)
    paths = [variable.path for variable in model.trainable_variables]
    powers = POWERS if pooler else WITHOUT_POOLER
    expected = [0.8 ** powers[path.split("/")[0]] for path in paths]
    assert learning_rate_multipliers(paths, 0.8) == expected
    assert set(learning_rate_multipliers(paths, 1.0)) == {1.0}


def test_frozen_layers_count_in_the_learning_rates(config):
    """The top block has d^2 whether or not the pooler above it is trained."""
    model = kbs.BertTextClassifier(kbs.BertBackbone(config.replace(num_layers=3)), num_classes=2)
    model.backbone.pooler.trainable = False
    optimizer = kbs.BertAdamW(layer_decay=0.5)
    model.compile(optimizer)
    model.make_train_function()
    found = dict(zip([v.path for v in model.trainable_variables], optimizer._multipliers, strict=True))
    assert found["encoder_block_2/attention/query/kernel"] == 0.25
    assert found["logits/kernel"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "saying"),
    [
        ({"optimizer": "sgd"}, "`optimizer`: 'sgd' is unknown; choose one of adamw, lamb"),
        ({"optimizer": "lamb", "bias_correction": True}, "`bias_correction`: is always part of lamb"),
        ({"layer_decay": 0.0}, "`layer_decay`: .* not 0.0"),
        ({"layer_decay": 1.5}, "`layer_decay`: .* not 1.5"),
    ],
)
def test_settings_of_the_optimizer_that_are_refused(arguments, saying):
    with pytest.raises(kbs.UserError, match=saying):
        TrainingOptions(steps=10, **arguments)


def test_training_options_say_which_optimizer():
    adamw = TrainingOptions(steps=10, bias_correction=True, layer_decay=0.9).optimizer_at(0.1)
    assert (type(adamw), adamw.bias_correction, adamw.layer_decay) == (kbs.BertAdamW, True, 0.9)
    lamb = TrainingOptions(steps=10, optimizer="lamb", layer_decay=0.8).optimizer_at(0.1)
    assert (type(lamb), lamb.layer_decay, lamb.global_clipnorm) == (kbs.Lamb, 0.8, 1.0)


def test_the_gradient_is_clipped_over_all_weights():
    a, b = (keras.Variable(np.zeros(2), dtype="float32", name=name) for name in "ab")
    optimizer = kbs.BertAdamW(learning_rate=1.0, beta_1=0.0, beta_2=0.0, epsilon=1e6, weight_decay=0.0)
    optimizer.apply([keras.ops.array([3.0, 0.0]), keras.ops.array([0.0, 4.0])], [a, b])
    # With so large an epsilon, the update is the clipped gradient / epsilon: (3, 4) of norm 5 becomes (0.6, 0.8).
    np.testing.assert_allclose(np.asarray(a) * 1e6, [-0.6, 0], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(b) * 1e6, [0, -0.8], rtol=1e-4)


def test_optimizer_and_schedule_come_back_from_their_configs():
    schedule = kbs.LinearWarmupDecay(peak=0.5, steps=10, warmup=0.3)
    for optimizer in (
        kbs.BertAdamW(schedule, weight_decay=0.1, bias_correction=True, layer_decay=0.9),
        kbs.Lamb(schedule, weight_decay=0.1, beta_2=0.98, layer_decay=0.9),
    ):
        back = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert type(back) is type(optimizer)
        assert back.get_config() == optimizer.get_config()
        assert (back.decay_rate, back.layer_decay, back.global_clipnorm) == (0.1, 0.9, 1.0)


@pytest.mark.parametrize(("steps", "warmup_steps"), [(1000, 100), (1_000_000, 10_000), (7, 2)])
def test_the_rate_is_that_of_transformers(steps, warmup_steps):
    """`get_linear_schedule_with_warmup`; Google's own rate is lower after the warmup, see `GooglesRate`."""
    step = np.unique(np.linspace(0, steps + 10, 500).astype(int))
    rising, falling = step / warmup_steps, np.maximum(0, (steps - step) / (steps - warmup_steps))
    expected = np.where(step < warmup_steps, rising, falling)
    ours = kbs.LinearWarmupDecay(peak=1.0, steps=steps, warmup=warmup_steps / steps)(step)
    np.testing.assert_allclose(np.asarray(ours), expected, atol=2e-7)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.0), (5, 0.5), (10, 1.0), (55, 0.5), (100, 0.0), (150, 0.0)])
def test_the_rate_rises_and_falls_in_straight_lines(step, rate):
    assert float(kbs.LinearWarmupDecay(peak=1.0, steps=100, warmup=0.1)(step)) == pytest.approx(rate, abs=1e-6)


def test_without_warmup_the_first_step_has_the_peak_rate():
    assert float(kbs.LinearWarmupDecay(peak=1.0, steps=100, warmup=0.0)(0)) == 1.0


@pytest.mark.parametrize(("steps", "rates"), [(1, [1.0, 0.0]), (2, [0.0, 5 / 9, 0.0])])
def test_no_run_has_the_rate_0_at_every_step(steps, rates):
    schedule = kbs.LinearWarmupDecay(peak=1.0, steps=steps, warmup=0.1)
    assert [float(schedule(step)) for step in range(steps + 1)] == pytest.approx(rates)


def test_the_wall_clock_schedule_goes_by_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    clock = WallClockSchedule(peak=2.0, seconds=10.0, warmup=0.2, spent=1.0)
    assert clock.spent == 1.0  # the clock starts with the first step
    clock.start()
    for passed, rate in ((0.0, 1.0), (1.0, 2.0), (5.0, 1.0), (8.9, 0.025), (9.1, 0.0)):  # one second was spent before
        now[0] = 100.0 + passed
        clock.start()
        assert (clock.spent, clock.rate) == pytest.approx((1.0 + passed, rate), abs=1e-6)
