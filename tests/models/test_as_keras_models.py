"""What Keras users do with a model works with every model of ours."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from models.every_model import CONFIG, IDS, INPUTS, LABELS, MASK, MODELS, make, same_outputs

import keras_bert_scratch as kbs


def compiled(name: str = "one label", **options) -> keras.Model:
    model = make(name)
    model.compile(kbs.BertAdamW(1e-3), **options)
    return model


def evaluate(model: keras.Model, x, y, **options) -> dict[str, float]:
    return model.evaluate(x, y, verbose=0, return_dict=True, **options)


@pytest.mark.parametrize("name", slow_but(["tag sequences"], MODELS))
@pytest.mark.usefixtures("eagerly")
def test_a_file_brings_back_the_compiled_model(name):
    """Outputs, dtype, remat, frozen layers, the optimizer's moments, the options of `compile`."""
    _, _, inputs, labels = MODELS[name]
    model = make(name, dtype="mixed_bfloat16", remat=True)
    model.backbone.embeddings.trainable = False
    model.compile(kbs.BertAdamW(1e-3), accumulate=2, steps_per_execution=2)
    model.fit(inputs, labels, verbose=0)
    model.save("model.keras")
    loaded = keras.models.load_model("model.keras")
    assert loaded.get_config() == model.get_config()
    assert (loaded.compute_dtype, loaded.backbone.encoder_blocks[0].remat) == ("bfloat16", True)
    assert (loaded.own_step, loaded.accumulate, loaded.steps_per_execution) == (True, 2, 2)
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]
    for before, after in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        assert before.path == after.path
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    same_outputs(model, loaded, inputs)


@pytest.mark.usefixtures("eagerly")
def test_a_loaded_model_trains_on_as_if_never_saved():
    one, (_, _, inputs, labels) = compiled(), MODELS["one label"]
    one.fit(inputs, labels, verbose=0)
    one.save("model.keras")
    other = keras.models.load_model("model.keras")
    for model in (one, other):
        model.fit(inputs, labels, verbose=0, shuffle=False)
    for a, b in zip(one.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.usefixtures("eagerly")
def test_the_loss_scale_of_float16_is_part_of_the_file():
    model, (_, _, inputs, labels) = make(dtype="mixed_float16"), MODELS["one label"]
    model.compile(kbs.BertAdamW(1e-3))
    model.fit(inputs, labels, verbose=0)
    model.save("model.keras")
    names = {variable.name for variable in keras.models.load_model("model.keras").optimizer.variables}
    assert {"loss_scale", "good_steps"} <= names


@pytest.mark.parametrize("name", slow_but(["pretrainer", "one label", "tag sequences", "translation"], MODELS))
def test_a_clone_and_its_layers(name):
    """A clone has the same layers, tied as in the original; every layer can be serialized and created again."""
    inputs, model = MODELS[name][2], make(name)
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    assert len(clone.trainable_variables) == len(model.trainable_variables)
    same_outputs(model, clone, inputs)
    for layer in (*model.layers, *model.backbone.layers):
        if not isinstance(layer, keras.layers.InputLayer) and layer.__module__.startswith("keras_bert_scratch"):
            again = keras.layers.deserialize(keras.layers.serialize(layer))
            assert again.get_config() == layer.get_config()


def test_a_head_of_the_users_on_the_backbone_is_saved():
    backbone = kbs.BertBackbone(CONFIG, dtype="mixed_bfloat16")
    model = keras.Model(backbone.inputs, keras.layers.Dense(2)(backbone.output["pooled_output"]))
    inner = keras.Model(backbone.inputs, backbone.encoder_blocks[0].output)
    for each in (model, inner):
        each.save("model.keras")
        same_outputs(each, keras.models.load_model("model.keras"), INPUTS)


@pytest.mark.parametrize("dtype", ["int64", "float32", "bool"])
@pytest.mark.usefixtures("eagerly")
def test_fit_and_evaluate_take_what_predict_takes(dtype):
    x = {name: value.astype("int64") for name, value in INPUTS.items()} | {"padding_mask": MASK.astype(dtype)}
    model = compiled()
    model.fit(x, LABELS, verbose=0)
    assert evaluate(model, x, LABELS) == pytest.approx(evaluate(model, INPUTS, LABELS))


@pytest.mark.usefixtures("eagerly")
def test_single_batches_train_and_measure_as_fit_and_evaluate_do():
    one, other = compiled(), compiled()
    other.set_weights(one.get_weights())
    one.fit(INPUTS, LABELS, batch_size=len(LABELS), shuffle=False, verbose=0)
    other.train_on_batch(INPUTS, LABELS)
    for fitted, trained in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(fitted, trained, atol=1e-6)
    measured = other.test_on_batch(INPUTS, LABELS, return_dict=True)
    assert measured == pytest.approx(evaluate(one, INPUTS, LABELS), abs=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_labels_of_any_dtype():
    model = compiled()
    expected = evaluate(model, INPUTS, LABELS)
    for dtype in ("int32", "int64", "uint8", "float32", "float64"):
        assert evaluate(model, INPUTS, LABELS.astype(dtype)) == pytest.approx(expected), dtype


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("one label", np.array([0, 1, 2, 3, 0, 0]), "the label 3 is too high; the 3 classes are 0 to 2"),
        ("one label", LABELS + 0.5, "whole numbers"),
        ("one label", np.eye(3)[LABELS], r"shape \(6, 3\) do not fit"),
        ("labels", LABELS, r"shape \(6,\) do not fit"),
        ("score", np.ones((6, 3)), r"shape \(6, 3\) do not fit"),
        ("pretrainer", {"masked_lm": IDS[:, :2]}, "has no labels for 'next_sentence'"),
        ("tokens", LABELS, r"shape \(6,\) do not fit"),
    ],
)
def test_labels_that_cannot_be_are_named(name, labels, said):
    model = compiled(name)
    for call in (model.fit, model.evaluate):
        with pytest.raises(kbs.UserError, match=said):
            call(MODELS[name][2], labels, verbose=0)


@pytest.mark.parametrize("label", [3, 0.5])
def test_labels_of_a_dataset_that_cannot_be_give_no_number(label):
    """Labels of a dataset are visible only in the graph, which cannot raise an error: the loss is NaN."""
    labels = np.array([label, 1, 1, 1, 1, 1], type(label))
    found = compiled().evaluate(tf.data.Dataset.from_tensors((INPUTS, labels)), verbose=0, return_dict=True)
    assert np.isnan(found["loss"])


@pytest.mark.parametrize("optimizer", slow_but(["ours"], ["ours", "Keras's"]))
@pytest.mark.parametrize(
    "name",
    slow_but(
        ["one label", "tag sequences"],
        ["one label", "labels", "tokens", "tag sequences", "answer", "choice", "masked words"],
    ),
)
@pytest.mark.usefixtures("eagerly")
def test_a_negative_label_does_not_count(name, optimizer):
    """Loss and accuracy are computed over the other rows only."""
    _, _, inputs, labels = MODELS[name]
    model = make(name)
    model.compile(kbs.BertAdamW() if optimizer == "ours" else keras.optimizers.SGD(0.1))
    expected = evaluate(model, *keras.tree.map_structure(lambda values: values[2:], (inputs, labels)))
    for label in (-1, -100):
        some = keras.tree.map_structure(lambda y, label=label: np.concatenate([0 * y[:2] + label, y[2:]]), labels)
        assert evaluate(model, inputs, some) == pytest.approx(expected, rel=1e-5), label


@pytest.mark.parametrize("optimizer", ["ours", "Keras's"])
@pytest.mark.parametrize("name", ["tokens", "tag sequences"])
@pytest.mark.usefixtures("eagerly")
def test_labels_at_padding_do_not_count(name, optimizer):
    _, _, inputs, labels = MODELS[name]
    model = make(name)
    model.compile(kbs.BertAdamW() if optimizer == "ours" else keras.optimizers.SGD(0.1))
    without = evaluate(model, inputs, labels)
    assert evaluate(model, inputs, np.where(MASK, labels, -1)) == pytest.approx(without, rel=1e-6)
    assert evaluate(model, inputs, np.where(MASK, labels, 1 - labels % 2)) == pytest.approx(without, rel=1e-6)


def trained_in_executions(**options) -> keras.Model:
    model = compiled(steps_per_execution=4, **options)
    model.fit(INPUTS, LABELS, batch_size=1, verbose=0, epochs=2)
    return model


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """Trained in a graph; no test changes its weights."""
    return trained_in_executions()


def assert_all_steps_count(model: keras.Model) -> None:
    """Six batches per epoch in executions of four: all updates count, and loss and accuracy cover all rows."""
    assert int(model.optimizer.iterations.numpy()) == 12
    found, logits = evaluate(model, INPUTS, LABELS, batch_size=1), np.asarray(model(INPUTS))
    losses = keras.losses.sparse_categorical_crossentropy(LABELS, logits, from_logits=True)
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(logits.argmax(-1) == LABELS))


@pytest.mark.slow
def test_the_last_steps_of_an_execution_count_too(trained):
    assert_all_steps_count(trained)


@pytest.mark.usefixtures("eagerly")
def test_the_last_steps_of_an_execution_count_without_a_graph():
    assert_all_steps_count(trained_in_executions(run_eagerly=True))


@pytest.mark.slow
def test_a_trained_model_is_exported(trained):
    trained.export("exported", verbose=False)
    exported = tf.saved_model.load("exported")
    np.testing.assert_allclose(exported.serve(INPUTS), trained(INPUTS), atol=1e-6)
    tf.saved_model.save(trained, "saved")


@pytest.mark.usefixtures("eagerly")
def test_callbacks_know_which_way_a_metric_is_better():
    better = {"val_accuracy": keras.ops.greater, "val_loss": keras.ops.less}
    stopping = {name: keras.callbacks.EarlyStopping(name, patience=9) for name in better}
    checkpoints = [
        keras.callbacks.ModelCheckpoint(f"{name}.keras", monitor=name, save_best_only=True) for name in better
    ]
    callbacks = [*stopping.values(), *checkpoints]
    compiled().fit(INPUTS, LABELS, validation_data=(INPUTS, LABELS), verbose=0, callbacks=callbacks)
    for name, operation in better.items():
        assert stopping[name].monitor_op is operation
        assert keras.models.load_model(f"{name}.keras").compiled


@pytest.mark.usefixtures("eagerly")
def test_freezing_keeps_every_bit_and_every_moment():
    """One optimizer through freezing and unfreezing: moments belong to variables, not to places in a list."""
    model, optimizer = make(), kbs.BertAdamW(1e-2)
    model.backbone.trainable = False
    model.compile(optimizer)
    frozen = [np.array(variable) for variable in model.backbone.weights]
    model.fit(INPUTS, LABELS, batch_size=1, verbose=0)
    for before, after in zip(frozen, model.backbone.weights, strict=True):
        np.testing.assert_array_equal(before, np.asarray(after))
    moments = {variable.path: np.array(variable) for variable in optimizer.variables}
    model.backbone.trainable = True
    model.compile(optimizer)
    model.make_train_function()
    new = [variable for variable in optimizer.variables if variable.path not in moments]
    assert len(new) == 2 * (len(model.trainable_variables) - 2)
    assert not any(np.asarray(variable).any() for variable in new)
    for variable in optimizer.variables:
        np.testing.assert_array_equal(np.asarray(variable), moments.get(variable.path, np.asarray(variable)))
    model.fit(INPUTS, LABELS, verbose=0)
    assert any(
        (before != np.asarray(after)).any() for before, after in zip(frozen, model.backbone.weights, strict=True)
    )


def test_an_optimizers_state_holds_no_weights():
    model = compiled()
    model.make_train_function()
    assert len(model.optimizer.variables) == 2 + 2 * len(model.trainable_variables)


def test_an_optimizer_of_another_model_is_refused():
    optimizer = kbs.BertAdamW()
    for _ in range(2):
        model = make()
        model.compile(optimizer)
        last = model
        if not optimizer.built:
            model.make_train_function()
    with pytest.raises(kbs.UserError, match=r"another model's .*; create a new optimizer"):
        last.make_train_function()


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda model: setattr(model, "trainable", False), {}, "has nothing to train"),
        (lambda model: None, {"accumulate": 0}, "`accumulate`: must be a whole number of at least 1, not 0"),
        (lambda model: None, {"accumulate": 2, "loss": "mse"}, "`accumulate`: needs BertAdamW or Lamb"),
        (lambda model: None, {"loss_weights": [1.0]}, "`loss_weights`: needs `loss`"),
    ],
)
@pytest.mark.usefixtures("eagerly")
def test_what_cannot_be_trained_is_named(change, options, said):
    model = make()
    change(model)
    with pytest.raises(kbs.UserError, match=said):
        model.compile(kbs.BertAdamW(), **options)
        model.fit(INPUTS, LABELS, verbose=0)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_weights_of_few_bits_are_refused(dtype):
    model = make(dtype=dtype)
    model.compile(kbs.BertAdamW())
    with pytest.raises(kbs.UserError, match=f"`dtype`: the weights are {dtype}"):
        model.fit(INPUTS, LABELS, verbose=0)


@pytest.mark.parametrize(
    "method",
    slow_but(["train_step", "compute_loss"], ["train_step", "test_step", "compute_loss", "compute_metrics"]),
)
@pytest.mark.usefixtures("eagerly")
def test_a_method_of_a_subclass_is_called_and_said(method, caplog):
    called = []

    def own(self, *args, **kwargs):
        called.append(method)
        return getattr(kbs.BertTextClassifier, method)(self, *args, **kwargs)

    model = type("Mine", (kbs.BertTextClassifier,), {method: own})(kbs.BertBackbone(CONFIG), num_classes=3)
    with caplog.at_level(logging.WARNING):
        model.compile(kbs.BertAdamW(1e-3))
    assert f"Mine.{method}: fit and evaluate run Keras's own step, without accumulation" in caplog.text
    model.fit(INPUTS, LABELS, verbose=0)
    found = evaluate(model, INPUTS, LABELS)
    assert called
    assert found == pytest.approx(evaluate(with_weights_of(model), INPUTS, LABELS), rel=1e-5)


def with_weights_of(model: keras.Model) -> keras.Model:
    plain = compiled()
    plain.set_weights(model.get_weights())
    return plain


@pytest.mark.parametrize("given", [{"metrics": ["accuracy"]}, {"loss": "sparse_categorical_crossentropy"}])
@pytest.mark.usefixtures("eagerly")
def test_a_loss_or_metrics_of_the_users_are_said_to_leave_our_step(given, caplog):
    with caplog.at_level(logging.WARNING):
        model = compiled(**given)
    assert f"compile: `{next(iter(given))}`: fit and evaluate run Keras's own step" in caplog.text
    assert not model.own_step
    model.fit(INPUTS, LABELS, verbose=0)


@pytest.mark.usefixtures("eagerly")
def test_a_loss_of_a_layer_is_refused():
    model = compiled()
    model.classifier_head.kernel.regularizer = keras.regularizers.L2(0.1)
    with pytest.raises(kbs.UserError, match="add_loss: is not part of this step"):
        model.fit(INPUTS, LABELS, verbose=0)


def test_a_keras_without_what_we_override_is_named(monkeypatch):
    monkeypatch.setattr("keras_bert_scratch.models.trainable.OVERRIDDEN", ("_gone",))
    with pytest.raises(kbs.UserError, match=rf"keras {keras.__version__}: its trainer has no _gone"):
        compiled()
