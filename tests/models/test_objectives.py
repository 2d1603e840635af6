"""The loss over classes and its hand-written gradient, against TensorFlow's, and what `compile` decides."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.models.losses import cross_entropy
from keras_bert_scratch.models.objectives import classification_objective

LOGITS = {
    "small": np.random.default_rng(0).normal(size=(6, 11)),
    "far apart": np.random.default_rng(1).normal(size=(6, 11)) * 200,
    "all alike": np.zeros((6, 11)),
    "positions of rows": np.random.default_rng(2).normal(size=(3, 4, 11)),
    "two classes": np.random.default_rng(3).normal(size=(5, 2)),
}


def labels_for(logits: np.ndarray) -> np.ndarray:
    return np.random.default_rng(4).integers(0, logits.shape[-1], logits.shape[:-1])


def loss_and_gradient(loss_of, logits, weights, compiled):
    @tf.function(jit_compile=compiled)
    def both():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = loss_of(logits)
            total = tf.reduce_sum(weights * losses)
        return losses, tape.gradient(total, logits)

    return both()


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
@pytest.mark.parametrize("name", LOGITS)
def test_loss_and_gradient_are_tensorflows(name, compiled):
    logits, labels = tf.constant(LOGITS[name], tf.float32), labels_for(LOGITS[name])
    weights = tf.constant(np.random.default_rng(5).random(labels.shape), tf.float32)
    ours = loss_and_gradient(lambda x: cross_entropy(labels, x)[0], logits, weights, compiled)
    theirs = loss_and_gradient(
        lambda x: tf.nn.sparse_softmax_cross_entropy_with_logits(labels, x), logits, weights, compiled
    )
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
@pytest.mark.parametrize("name", ["far apart", "positions of rows"])
def test_smoothed_loss_and_gradient_are_those_of_smoothed_targets(name, compiled):
    """Szegedy et al. 2016, section 7: the label gets 1 - smoothing, and each class smoothing / classes in addition."""
    logits, labels = tf.constant(LOGITS[name], tf.float32), labels_for(LOGITS[name])
    weights = tf.constant(np.random.default_rng(5).random(labels.shape), tf.float32)
    targets = 0.9 * tf.one_hot(labels, 11) + 0.1 / 11
    ours = loss_and_gradient(lambda x: cross_entropy(labels, x, 0.1)[0], logits, weights, compiled)
    theirs = loss_and_gradient(lambda x: tf.nn.softmax_cross_entropy_with_logits(targets, x), logits, weights, compiled)
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


def test_smoothing_does_not_move_with_padding():
    """Positions without a label count neither in the smoothed loss nor in its divisor, whatever their logits are."""
    logits, labels = LOGITS["positions of rows"], labels_for(LOGITS["positions of rows"])
    objective = classification_objective(label_smoothing=0.2)

    def mean(labels, logits):
        labels = tf.constant(labels)
        weights = objective.weights(labels, {})
        loss, _, weight = objective.sums(labels, tf.constant(logits, tf.float32), weights, training=True)
        return float(loss / weight)

    padded = np.pad(labels, ((0, 1), (0, 3)), constant_values=-1)
    garbage = np.pad(logits, ((0, 1), (0, 3), (0, 0)), constant_values=1e30)
    assert mean(padded, garbage) == pytest.approx(mean(labels, logits), rel=1e-6)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("optimizer", [kbs.BertAdamW, keras.optimizers.SGD], ids=["our step", "Keras's step"])
def test_training_is_smoothed_and_evaluation_is_not(optimizer):
    config = kbs.BertConfig(vocab_size=50, num_layers=1, hidden_size=32, hidden_dropout=0, attention_dropout=0)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=3)
    model.objectives = {"": classification_objective(label_smoothing=0.3)}
    model.classifier_head.kernel.assign(np.random.default_rng(0).normal(size=(32, 3)) * 4)
    model.compile(optimizer(1e-3))
    ones = np.random.default_rng(8).integers(5, 50, (4, 6)).astype("int32")
    inputs, labels = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": 0 * ones + 1}, np.array([0, 1, 2, 0])
    log_softmax = tf.nn.log_softmax(model.predict(inputs, verbose=0)).numpy()
    plain = -log_softmax[np.arange(4), labels].mean()
    evaluated = model.evaluate(inputs, labels, verbose=0, return_dict=True)["loss"]
    trained = model.fit(inputs, labels, batch_size=4, verbose=0).history["loss"][0]
    assert evaluated == pytest.approx(plain, rel=1e-5)
    assert trained == pytest.approx(0.7 * plain - 0.3 * log_softmax.mean(), rel=1e-5)


def test_bfloat16_logits_lose_nothing_more_than_their_own_rounding():
    logits, labels = tf.cast(LOGITS["small"], tf.bfloat16), labels_for(LOGITS["small"])
    loss, gradient = loss_and_gradient(lambda x: cross_entropy(labels, x)[0], logits, 1.0, False)
    exact = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.cast(logits, tf.float32))
    np.testing.assert_allclose(loss, exact, rtol=1e-6)
    assert gradient.dtype == tf.bfloat16


@pytest.mark.parametrize(
    ("labels", "right"), [([0, 1, 2], [0, 1, 0]), ([1, 1, 1], [1, 1, 1])], ids=["one of three", "a tie counts"]
)
def test_right_is_no_higher_logit(labels, right):
    logits = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [5.0, 5.0, 1.0]], np.float32)
    np.testing.assert_array_equal(cross_entropy(np.array(labels), tf.constant(logits))[1], right)


def a_model() -> kbs.BertTokenClassifier:
    config = kbs.BertConfig(vocab_size=50, num_layers=1, hidden_size=32, hidden_dropout=0, attention_dropout=0)
    return kbs.BertTokenClassifier(kbs.BertBackbone(config, pooler=False), num_classes=3)


@pytest.mark.usefixtures("eagerly")
def test_weights_of_rows_stand_for_all_their_positions():
    """A weight for each row gives the same loss as that weight at every position of the row."""
    rng = np.random.default_rng(6)
    tokens = rng.integers(5, 50, (4, 7)).astype("int32")
    inputs = {"token_ids": tokens, "segment_ids": 0 * tokens, "padding_mask": np.ones_like(tokens)}
    labels, of_rows = rng.integers(0, 3, (4, 7)), np.array([1.0, 0.5, 0.0, 2.0], np.float32)
    of_positions = np.repeat(of_rows[:, None], 7, axis=1)
    model = a_model()
    model.compile(kbs.BertAdamW())
    found = [model.evaluate(inputs, labels, sample_weight=w, verbose=0) for w in (of_rows, of_positions)]
    losses = [float(loss if np.ndim(loss) == 0 else loss[0]) for loss in found]
    logits = model.predict(inputs, verbose=0)
    exact = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits).numpy()
    np.testing.assert_allclose(losses, np.average(exact, weights=of_positions), rtol=1e-5)


@pytest.mark.parametrize(
    ("optimizer", "jit_compile", "expected"),
    [
        (kbs.BertAdamW, "auto", bool(tf.config.list_physical_devices("GPU"))),
        (kbs.BertAdamW, True, True),
        (keras.optimizers.SGD, False, False),
    ],
)
def test_our_step_is_compiled_by_xla_where_there_is_an_accelerator(optimizer, jit_compile, expected):
    model = a_model()
    model.compile(optimizer(), jit_compile=jit_compile)
    assert model.jit_compile is expected


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
@pytest.mark.usefixtures("eagerly")
def test_labels_of_rows_may_stand_in_a_column(shape):
    config = kbs.BertConfig(vocab_size=50, num_layers=1, hidden_size=32, hidden_dropout=0, attention_dropout=0)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=2)
    model.compile(kbs.BertAdamW())
    tokens = np.random.default_rng(7).integers(5, 50, (6, 7)).astype("int32")
    inputs = {"token_ids": tokens, "segment_ids": 0 * tokens, "padding_mask": np.ones_like(tokens)}
    labels = np.array([0, 1, 1, 0, 1, 0])
    loss = model.evaluate(inputs, labels.reshape(shape), verbose=0, return_dict=True)["loss"]
    logits = model.predict(inputs, verbose=0)
    exact = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    assert loss == pytest.approx(float(tf.reduce_mean(exact)), rel=1e-5)


@pytest.mark.usefixtures("eagerly")
def test_two_objectives_may_read_one_output(small):
    """Each objective reads all outputs; the model's loss is their weighted sum."""
    model = kbs.BertTextClassifier(kbs.BertBackbone(small), num_classes=2)
    model.objectives = {"label": classification_objective(), "again": classification_objective(loss_weight=0.5)}
    model.compile(kbs.BertAdamW(1e-3))
    ones = np.ones((4, 6), "int32")
    inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
    first, second = np.array([0, 1, 0, 1]), np.array([1, 1, 1, 1])
    results = model.evaluate(inputs, {"label": first, "again": second}, verbose=0, return_dict=True)
    logits = np.asarray(model(inputs), np.float64)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    losses = [-log_softmax[np.arange(4), labels].mean() for labels in (first, second)]
    assert results["label_loss"] == pytest.approx(losses[0], abs=1e-5)
    assert results["again_loss"] == pytest.approx(losses[1], abs=1e-5)
    assert results["loss"] == pytest.approx(losses[0] + 0.5 * losses[1], abs=1e-5)
    history = model.fit(inputs, {"label": first, "again": second}, verbose=0)
    assert np.isfinite(history.history["loss"][0])
