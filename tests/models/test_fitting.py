"""What surrounds a step of `fit`: callbacks, weights loaded before it, freezing, clones, names of results."""

import contextlib
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, hidden_dropout=0.0, attention_dropout=0.0
)
IDS = np.random.default_rng(0).integers(5, 50, (6, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.array([0, 1, 2, 0, 1, 2])


def make(optimizer: keras.optimizers.Optimizer | None = None, **options) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
    model.compile(optimizer or kbs.BertAdamW(1e-2), **options)
    return model


def fit(model: keras.Model, **options) -> keras.callbacks.History:
    return model.fit(INPUTS, LABELS, batch_size=2, shuffle=False, verbose=0, **options)


def assert_same_weights(one: keras.Model, other: keras.Model) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            raise KeyboardInterrupt


@pytest.mark.usefixtures("eagerly")
def test_every_weight_is_trained():
    """All parameters are fine-tuned (Devlin et al. 2019, section 3.2), not only the head."""
    model = make()
    weights = [weight for weight in model.weights if weight.dtype == "float32"]  # without the seeds of dropout
    before = {weight.path: np.array(weight) for weight in weights}
    fit(model)
    still = {weight.path for weight in weights if np.array_equal(weight, before[weight.path])}
    # A key bias adds the same number to all scores of a query, which the softmax cancels: it has no gradient.
    assert still <= {name for name in before if name.endswith("attention/key/bias")}


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_backup_continues_to_the_same_weights():
    whole, broken, continued = make(), make(), make()
    fit(whole, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        fit(broken, epochs=3, callbacks=[keras.callbacks.BackupAndRestore("backup"), Interrupt()])
    assert fit(continued, epochs=3, callbacks=[keras.callbacks.BackupAndRestore("backup")]).epoch == [2]
    assert_same_weights(whole, continued)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.usefixtures("eagerly")
def test_weights_loaded_before_the_first_fit_bring_the_moments(frozen):
    """Also the moments of variables that are frozen during loading and trained later."""
    one, other = make(), make()
    fit(one)
    one.save_weights("model.weights.h5")
    other.backbone.trainable = not frozen
    other.load_weights("model.weights.h5")
    other.make_train_function()
    other.backbone.trainable = True
    for model in (one, other):
        fit(model)
    assert_same_weights(one, other)


@pytest.mark.usefixtures("eagerly")
def test_a_learning_rate_is_lowered_by_a_callback():
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=10.0)
    assert fit(make(), epochs=3, callbacks=[plateau]).history["learning_rate"] == pytest.approx([1e-2, 1e-2, 5e-3])


@pytest.mark.slow
def test_a_learning_rate_set_by_a_callback_counts():
    """Also in a graph that was traced with another learning rate."""
    model, weights = make(), []
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: [1e-2, 0.0][epoch])
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: weights.append(model.get_weights()))
    start = model.get_weights()
    fit(model, epochs=2, callbacks=[schedule, keep])
    assert any((a != b).any() for a, b in zip(start, weights[0], strict=True))
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


class Evaluate(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        self.model.evaluate({name: values[:2] for name, values in INPUTS.items()}, LABELS[:2], verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_evaluation_within_an_epoch_is_not_part_of_its_means():
    plain, evaluated = make(), make()
    assert fit(evaluated, epochs=2, callbacks=[Evaluate()]).history == fit(plain, epochs=2).history


@pytest.mark.usefixtures("eagerly")
def test_results_have_names_in_their_order():
    model = kbs.BertQuestionAnswerer(kbs.BertBackbone(CONFIG, pooler=False))
    model.compile(kbs.BertAdamW())
    labels = {"start": LABELS, "end": LABELS + 1}
    by_name = model.evaluate(INPUTS, labels, verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, model.evaluate(INPUTS, labels, verbose=0), strict=True)) == by_name


@pytest.mark.slow
def test_freezing_after_a_fit_needs_no_new_compile(eager_functions):
    """In graphs; unfreezing builds a new step in the same way."""
    model = make()
    fit(model)
    for trainable, run in ((False, contextlib.nullcontext), (True, eager_functions)):
        model.backbone.trainable = trainable
        before = [np.array(variable) for variable in model.backbone.weights]
        with run():
            fit(model)
        moved = [(a != np.asarray(b)).any() for a, b in zip(before, model.backbone.weights, strict=True)]
        assert any(moved) == trainable


@pytest.mark.slow
def test_labels_of_another_rank_may_follow():
    model = make()
    fit(model)
    model.fit(INPUTS, LABELS[:, None], verbose=0)
    assert int(model.optimizer.iterations.numpy()) == 4


@pytest.mark.usefixtures("eagerly")
def test_a_clone_of_a_model_that_accumulates():
    """The clone is Keras's functional model, without objectives; Keras passes it the arguments of `compile`."""
    model = make(accumulate=2)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(clone(INPUTS), model(INPUTS))
    again = type(model).from_config(model.get_config())
    again.compile(kbs.BertAdamW())
    assert (again.own_step, again.accumulate) == (True, 1)


@pytest.mark.usefixtures("eagerly")
def test_compile_takes_its_arguments_in_keras_order():
    model = make(kbs.BertAdamW(), loss=None)
    model.compile("sgd", "sparse_categorical_crossentropy", [0.5], ["accuracy"])
    assert fit(model).history.keys() == {"loss", "accuracy"}


@pytest.mark.usefixtures("eagerly")
def test_a_step_that_changes_nothing_is_said_once(caplog):
    weights = np.array([1, 1, np.nan, 1, np.nan, 1], "float32")
    data = tf.data.Dataset.from_tensor_slices((INPUTS, LABELS, weights)).batch(2)
    with caplog.at_level(logging.WARNING):
        make().fit(data, epochs=2, verbose=0)
    said = [record.message for record in caplog.records if "gradient is not finite" in record.message]
    assert len(said) == 1
    assert "changes no weight and counts in no metric" in said[0]


def test_weights_that_the_user_spares_are_not_decayed():
    optimizer = kbs.BertAdamW(weight_decay=0.1)
    optimizer.exclude_from_weight_decay(var_names=["embedding"])
    model = make(optimizer)
    model.make_train_function()
    paths = [variable.path for variable in model.trainable_variables]
    decayed = {path for path, decayed in zip(paths, optimizer._decayed, strict=True) if decayed}
    assert decayed == {path for path in paths if path.endswith("kernel")}
