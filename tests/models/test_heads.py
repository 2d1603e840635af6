"""Every model made of a backbone and a head: names and shapes of weights, formula, loss."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES, encoder_shapes, model_shapes
from keras_bert_scratch.layers.dropout import Dropout

LENGTH, CHOICES = 12, 3
PREDICTIONS = np.array([[1, 2, 3], [1, 0, 0], [2, 1, 0], [1, 1, 0]], "int32")
# By class: the number of outputs of its "logits" layer, 0 for none, and the arguments that set it.
HEADS = {
    "BertPretrainer": (0, {}),
    "BertMaskedLM": (0, {}),
    "BertNextSentencePredictor": (0, {}),
    "BertTextClassifier": (3, {"num_classes": 3}),
    "BertTokenClassifier": (5, {"num_classes": 5}),
    "BertQuestionAnswerer": (2, {}),
    "BertMultipleChoice": (1, {}),
    "BertTextEmbedder": (0, {}),
}
ON_POOLED = [name for name in HEADS if ARCHITECTURES[name].needs_pooler]
ON_SEQUENCE = [name for name in HEADS if not ARCHITECTURES[name].needs_pooler]


def model_of(
    name: str, config: kbs.BertConfig, pooler: bool = True, dtype: str | None = None, **arguments: int
) -> keras.Model:
    """A model with weights that are not just 0 and 1; `arguments` override those of `HEADS`."""
    model = getattr(kbs, name)(kbs.BertBackbone(config, dtype=dtype, pooler=pooler), **{**HEADS[name][1], **arguments})
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign(np.asarray(variable) + rng.normal(size=variable.shape) * 0.3)
    return model


_made_once = functools.cache(model_of)


def read_only(name: str, config: kbs.BertConfig, pooler: bool = True, dtype: str | None = None) -> keras.Model:
    """A model that no test changes."""
    return _made_once(name, config, pooler, dtype)


def a_batch(rows: tuple[int, ...] = (4,), length: int = LENGTH) -> dict[str, np.ndarray]:
    """Two segments per row, with at least 4 tokens, and padding at the end of some rows."""
    rng = np.random.default_rng(0)
    sizes, position = rng.integers(4, length + 1, (*rows, 1)), np.arange(length)
    return {
        "token_ids": rng.integers(5, 100, (*rows, length)).astype("int32"),
        "segment_ids": (position >= sizes // 2).astype("int32"),
        "padding_mask": (position < sizes).astype("int32"),
    }


def batch_for(name: str) -> dict[str, np.ndarray]:
    if name == "BertMultipleChoice":
        return a_batch((4, CHOICES))
    return {**a_batch(), **({"mask_positions": PREDICTIONS} if name in ("BertPretrainer", "BertMaskedLM") else {})}


def outputs_of(model: keras.Model, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs by name; a single one is called "logits"."""
    outputs = model(batch)
    outputs = outputs if isinstance(outputs, dict) else {"logits": outputs}
    return {name: np.asarray(value) for name, value in outputs.items()}


def expected_shapes(name: str, config: kbs.BertConfig) -> dict[str, tuple[int, ...]]:
    return {
        "BertPretrainer": {"masked_lm": (4, 3, config.vocab_size), "next_sentence": (4, 2)},
        "BertMaskedLM": {"logits": (4, 3, config.vocab_size)},
        "BertNextSentencePredictor": {"logits": (4, 2)},
        "BertTextClassifier": {"logits": (4, 3)},
        "BertTokenClassifier": {"logits": (4, LENGTH, 5)},
        "BertQuestionAnswerer": {"start": (4, LENGTH), "end": (4, LENGTH)},
        "BertMultipleChoice": {"logits": (4, CHOICES)},
        "BertTextEmbedder": {"logits": (4, config.hidden_size)},
    }[name]


def test_every_architecture_is_tested():
    elsewhere = {"BertBackbone", "BertCausalLM", "BertTranslator"}  # the last two against results of transformers
    assert set(HEADS) == set(ARCHITECTURES) - elsewhere


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("dtype", slow_but([None], [None, "mixed_bfloat16"]))
def test_outputs(config, name, dtype):
    outputs = outputs_of(read_only(name, config, dtype=dtype), batch_for(name))
    assert {key: value.shape for key, value in outputs.items()} == expected_shapes(name, config)
    assert {value.dtype for value in outputs.values()} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("name", "pooler"),
    [
        pytest.param(name, pooler, marks=() if name in ("BertPretrainer", "BertTokenClassifier") else pytest.mark.slow)
        for name in HEADS
        for pooler in ((True, False) if name in ON_SEQUENCE else (True,))
    ],
)
def test_weights_have_the_names_of_the_checkpoints(config, name, pooler):
    model = read_only(name, config, pooler)
    shapes = {variable.path: tuple(variable.shape) for variable in model.trainable_variables}
    assert shapes == model_shapes(config, name, pooler, HEADS[name][0])
    assert len(shapes) == len(model.trainable_variables)


@pytest.mark.parametrize("name", ON_POOLED)
def test_a_backbone_without_pooler_is_refused(config, name):
    with pytest.raises(kbs.UserError, match=f"{name} reads; build it with `pooler=True`"):
        model_of(name, config, pooler=False)


@pytest.mark.parametrize(("name", "wrong"), [("BertTextClassifier", 0), ("BertTokenClassifier", 1)])
def test_too_few_classes_are_refused(config, name, wrong):
    with pytest.raises(kbs.UserError, match=f"`num_classes`: must be at least 2.*not {wrong}"):
        model_of(name, config, num_classes=wrong)


def test_a_backbone_without_pooler(config):
    """All outputs except the pooled vector are the same as with a pooler."""
    batch = a_batch()
    full, plain = kbs.BertBackbone(config), kbs.BertBackbone(config, pooler=False)
    for layer, other in zip(
        [full.embeddings, *full.encoder_blocks], [plain.embeddings, *plain.encoder_blocks], strict=True
    ):
        other.set_weights(layer.get_weights())
    assert plain.pooler is None
    shapes = {variable.path: tuple(variable.shape) for variable in plain.trainable_variables}
    assert shapes == encoder_shapes(config)
    assert set(plain(batch)) == {"sequence_output"}
    assert set(plain.look_inside(batch)) == {"sequence_output", "layer_outputs", "attention_weights"}
    for outputs in (plain(batch), plain.look_inside(batch)):
        np.testing.assert_allclose(outputs["sequence_output"], full(batch)["sequence_output"], atol=1e-6)


@pytest.mark.parametrize("pooler", [True, False])
def test_a_description_makes_the_same_backbone(config, pooler):
    backbone = kbs.BertBackbone(config, pooler=pooler)
    again = kbs.BertBackbone.from_config(backbone.get_config())
    assert (again.config, again.pooler is not None) == (config, pooler)
    # Descriptions written before the option existed do not contain it.
    assert kbs.BertBackbone.from_config({"config": config.to_dict()}).pooler is not None


@pytest.mark.parametrize("name", HEADS)
def test_padding_changes_nothing(config, name):
    """Neither the tokens at padding nor the amount of padding changes the outputs at real tokens."""
    batch, size = batch_for(name), 7
    batch["padding_mask"][:] = np.arange(LENGTH) < size
    other = {key: value.copy() for key, value in batch.items()}
    other["token_ids"][..., size:] = 7
    other["segment_ids"][..., size:] = 0
    short = {key: value if key == "mask_positions" else value[..., :size] for key, value in batch.items()}
    model = read_only(name, config)
    padded, changed, cut = (outputs_of(model, each) for each in (batch, other, short))
    by_position = name in ("BertTokenClassifier", "BertQuestionAnswerer")
    for key in padded:
        real = (slice(None), slice(size)) if by_position else ()
        np.testing.assert_array_equal(padded[key][real], changed[key][real])
        np.testing.assert_allclose(padded[key][real], cut[key], atol=2e-5)


def linear(x: np.ndarray, model: keras.Model) -> np.ndarray:
    """x W + b with the weights of the layer "logits"."""
    weights = {variable.path: np.asarray(variable, "float64") for variable in model.trainable_variables}
    return np.asarray(x, "float64") @ weights["logits/kernel"] + weights["logits/bias"]


def test_token_classifier_is_its_formula(config):
    model, batch = read_only("BertTokenClassifier", config, pooler=False), a_batch()
    expected = linear(model.backbone(batch)["sequence_output"], model)
    np.testing.assert_allclose(model(batch), expected, atol=1e-5)


def test_question_answerer_is_its_formula(config):
    model, batch = read_only("BertQuestionAnswerer", config, pooler=False), a_batch()
    expected = linear(model.backbone(batch)["sequence_output"], model)
    np.testing.assert_allclose(model(batch)["start"], expected[..., 0], atol=1e-5)
    np.testing.assert_allclose(model(batch)["end"], expected[..., 1], atol=1e-5)


def test_multiple_choice_is_its_formula(config):
    """Each choice's score depends only on its own row, not on the other choices."""
    model, batch = read_only("BertMultipleChoice", config), a_batch((4, CHOICES))
    logits = np.asarray(model(batch))
    for question in range(4):
        for choice in range(CHOICES):
            row = {key: value[question, choice][None] for key, value in batch.items()}
            expected = linear(model.backbone(row)["pooled_output"], model)[0, 0]
            assert logits[question, choice] == pytest.approx(expected, abs=1e-5)


def test_multiple_choice_takes_any_number_of_choices(config):
    """One traced function for all shapes, as in a dataset of unequal batches."""
    model = read_only("BertMultipleChoice", config)
    signature = {name: tf.TensorSpec((None, None, None), tf.int32) for name in a_batch()}
    traced = tf.function(model, input_signature=[signature])
    for rows, length in (((4, 3), 12), ((1, 5), 9), ((2, 1), 12)):
        batch = a_batch(rows, length)
        np.testing.assert_allclose(traced(batch), model(batch), atol=1e-5)


@pytest.mark.parametrize("name", [*(name for name, (units, _) in HEADS.items() if units), "BertNextSentencePredictor"])
def test_a_head_computes_in_float32_in_every_model(config, name):
    """No output of a layer that computes in bfloat16 has more than its 8 significant bits."""
    for found in outputs_of(read_only(name, config, dtype="mixed_bfloat16"), batch_for(name)).values():
        assert np.any(found != tf.cast(tf.cast(found, "bfloat16"), "float32"))


@pytest.mark.parametrize("name", ["BertTextClassifier", "BertTokenClassifier", "BertMultipleChoice"])
def test_what_the_head_reads_is_dropped_out_in_training(config, name):
    still = config.replace(hidden_dropout=0.0, attention_dropout=0.0)
    model, batch = model_of(name, still), batch_for(name)
    np.testing.assert_array_equal(model(batch, training=True), model(batch))
    model.dropout.rate = 0.5
    assert np.abs(np.asarray(model(batch, training=True)) - np.asarray(model(batch))).max() > 0.1


def test_the_answers_head_drops_nothing(config):
    model = read_only("BertQuestionAnswerer", config, pooler=False)
    assert not any(isinstance(layer, Dropout) for layer in model.layers)


@pytest.mark.parametrize(
    ("name", "pooler"),
    [
        *((name, True) for name in HEADS),
        *(pytest.param(name, False, marks=pytest.mark.slow) for name in ON_SEQUENCE),
    ],
)
def test_keras_can_save_it(config, name, pooler):
    model, batch = read_only(name, config, pooler), batch_for(name)
    model.save("model.keras")
    loaded = keras.models.load_model("model.keras")
    assert (type(loaded), loaded.name) == (type(model), model.name)
    assert loaded.get_config() == model.get_config()
    assert [variable.path for variable in loaded.weights] == [variable.path for variable in model.weights]
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    for key, value in outputs_of(model, batch).items():
        np.testing.assert_array_equal(outputs_of(loaded, batch)[key], value)


def cross_entropy(logits: np.ndarray, labels: np.ndarray, counts: np.ndarray | None = None) -> float:
    """Mean of -log softmax at the label, weighted by `counts`."""
    logits = np.asarray(logits, "float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    losses = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    return float(np.average(losses, weights=counts))


def first_step(model: keras.Model, *data: object) -> dict[str, float]:
    """One step of `fit`: loss and metrics before the update. All kernels change (a key bias has no gradient)."""
    kernels = {variable.path: variable for variable in model.trainable_variables if variable.path.endswith("/kernel")}
    before = {path: np.array(kernel) for path, kernel in kernels.items()}
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(tf.data.Dataset.from_tensors(data), shuffle=False, verbose=0).history
    for path, kernel in kernels.items():
        assert np.abs(np.asarray(kernel) - before[path]).max() > 1e-6, path
    return {key: values[0] for key, values in history.items()}


@pytest.fixture
def still(config) -> kbs.BertConfig:
    """Without dropout, the training loss equals the formula."""
    return config.replace(hidden_dropout=0.0, attention_dropout=0.0)


LABELS = {
    "BertMaskedLM": (np.array([[9, 8, 7], [6, 0, 0], [5, 4, 0], [3, 2, 0]]), (PREDICTIONS > 0).astype("float32")),
    "BertNextSentencePredictor": (np.array([0, 1, 1, 0]), None),
    "BertTextClassifier": (np.array([0, 2, 1, 2]), None),
    "BertMultipleChoice": (np.array([0, 2, 1, 1]), None),
    "BertTokenClassifier": (np.arange(4 * LENGTH).reshape(4, LENGTH) % 5, a_batch()["padding_mask"].astype("float32")),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.usefixtures("eagerly")
def test_compile_alone_sets_cross_entropy(still, name):
    labels, counts = LABELS[name]
    model, batch = model_of(name, still, pooler=name in ON_POOLED), batch_for(name)
    logits = np.asarray(model(batch))
    labels = np.concatenate([logits.argmax(-1)[:1], labels[1:]])  # a row of right answers: the accuracy is not 0
    results = first_step(model, batch, labels, *([] if counts is None else [counts]))
    assert results["loss"] == pytest.approx(cross_entropy(logits, labels, counts), rel=1e-4)
    assert results["accuracy"] == pytest.approx(np.average(logits.argmax(-1) == labels, weights=counts), abs=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_the_answers_loss_is_the_mean_of_both_ends(still):
    model, batch = model_of("BertQuestionAnswerer", still, pooler=False), a_batch()
    labels = {"start": np.array([1, 2, 0, 3]), "end": np.array([2, 3, 0, 3])}
    logits = outputs_of(model, batch)
    results = first_step(model, batch, labels)
    losses = {name: cross_entropy(logits[name], labels[name]) for name in labels}
    assert results["loss"] == pytest.approx((losses["start"] + losses["end"]) / 2, rel=1e-4)
    for name in labels:
        assert results[f"{name}_loss"] == pytest.approx(losses[name], rel=1e-4)
        assert results[f"{name}_accuracy"] == pytest.approx((logits[name].argmax(-1) == labels[name]).mean(), abs=1e-6)


@pytest.mark.usefixtures("eagerly")
def test_a_loss_given_to_the_answerer_is_not_halved(config):
    model, batch = model_of("BertQuestionAnswerer", config, pooler=False), a_batch()
    labels = {"start": np.array([1, 2, 0, 3]), "end": np.array([2, 3, 0, 3])}
    given = {name: keras.losses.SparseCategoricalCrossentropy(from_logits=True) for name in labels}
    logits = outputs_of(model, batch)
    model.compile(loss=given)
    loss = model.evaluate(tf.data.Dataset.from_tensors((batch, labels)), return_dict=True, verbose=0)["loss"]
    assert loss == pytest.approx(sum(cross_entropy(logits[name], labels[name]) for name in labels), rel=1e-4)


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.usefixtures("eagerly")
def test_one_class_is_a_score(still, shape):
    model, batch = model_of("BertTextClassifier", still, num_classes=1), a_batch()
    labels = np.array([0.0, 5.0, 2.5, 3.8], "float32")
    errors = np.asarray(model(batch), "float64")[:, 0] - labels
    results = first_step(model, batch, labels.reshape(shape))
    assert results["loss"] == pytest.approx(np.mean(errors**2), rel=1e-4)
    assert results["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)
    assert set(results) == {"loss", "rmse"}
