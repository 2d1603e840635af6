"""Several examples in a row give the same results as one per row; the tests compare with the unpacked model."""

import functools
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(
    vocab_size=100,
    num_layers=2,
    hidden_size=16,
    num_heads=2,
    max_position_embeddings=24,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)
# The lengths of the examples of each packed row; all rows end in padding, and no row has MAX_EXAMPLES.
ROWS = ((7, 4, 6), (5, 9), (12,))
LENGTH, MAX_EXAMPLES = 20, 4
# A batch as `fit` receives it: inputs, labels, sample weights.
Batch = tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]


def batch_of(
    rows: tuple[tuple[int, ...], ...], length: int, predictions: int, max_examples: int = MAX_EXAMPLES
) -> Batch:
    """Packed rows with examples of these lengths; the same lengths in order give the same examples, however packed.

    Labels at positions that do not count are wrong on purpose.
    """
    rng = np.random.default_rng(0)
    tokens, masked_positions, examples = (len(rows), length), (len(rows), predictions), (len(rows), max_examples)
    names = ("token_ids", "segment_ids", "padding_mask", "example_ids")
    inputs = {name: np.zeros(tokens, "int32") for name in names}
    inputs |= {"mask_positions": np.zeros(masked_positions, "int32"), "example_starts": np.zeros(examples, "int32")}
    labels = {"masked_lm": np.full(masked_positions, 3, "int32"), "next_sentence": np.ones(examples, "int32")}
    weights = {"masked_lm": np.zeros(masked_positions, "float32"), "next_sentence": np.zeros(examples, "float32")}
    for row, sizes in enumerate(rows):
        start = filled = 0
        for index, size in enumerate(sizes):
            span = (row, slice(start, start + size))
            inputs["token_ids"][span] = rng.integers(5, 100, size)
            inputs["segment_ids"][span] = np.arange(size) >= size // 2
            inputs["padding_mask"][span] = 1
            inputs["example_ids"][span] = index + 1
            inputs["example_starts"][row, index] = start
            labels["next_sentence"][row, index] = rng.integers(2)
            weights["next_sentence"][row, index] = 1.0
            hidden = np.sort(rng.choice(np.arange(1, size), 1 + size // 5, replace=False))
            masked = (row, slice(filled, filled + len(hidden)))
            inputs["mask_positions"][masked] = start + hidden
            labels["masked_lm"][masked] = rng.integers(5, 100, len(hidden))
            weights["masked_lm"][masked] = 1.0
            start, filled = start + size, filled + len(hidden)
    return inputs, labels, weights


def packed_batch() -> Batch:
    return batch_of(ROWS, LENGTH, predictions=8)


def unpacked_batch(sizes: tuple[int, ...] = tuple(itertools.chain(*ROWS))) -> Batch:
    """The same examples one per row, in the form of unpacked rows."""
    inputs, labels, weights = batch_of(tuple((size,) for size in sizes), 12, predictions=3, max_examples=1)
    inputs = {name: value for name, value in inputs.items() if not name.startswith("example")}
    return inputs, *({**each, "next_sentence": each["next_sentence"][:, 0]} for each in (labels, weights))


def encoder_inputs(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: value for name, value in inputs.items() if name != "mask_positions"}


@functools.cache
def models(name: str = "BertPretrainer", pooler: bool = True) -> tuple[keras.Model, keras.Model]:
    """An unpacked and a packed model with the same weights, which are not just 0 and 1 and which no test changes."""
    plain, packed = (kbs.BertBackbone(CONFIG, pooler=pooler, packed=packed) for packed in (False, True))
    if name != "BertBackbone":
        plain, packed = getattr(kbs, name)(plain), getattr(kbs, name)(packed)
    rng = np.random.default_rng(7)
    for variable, same in zip(plain.trainable_variables, packed.trainable_variables, strict=True):
        variable.assign(np.asarray(variable) + rng.normal(size=variable.shape) * 0.3)
        same.assign(variable)
    return plain, packed


def present(weights: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The positions where an output counts; packed or not, they are in the same order."""
    return weights[name] > 0


@pytest.mark.parametrize("pooler", [True, False])
def test_vectors_are_those_of_the_unpacked_rows(pooler):
    plain, packed = models("BertBackbone", pooler)
    (one, _, one_weights), (several, _, weights) = unpacked_batch(), packed_batch()
    expected, outputs = plain(encoder_inputs(one)), packed(encoder_inputs(several))
    assert set(outputs) == set(expected)
    tokens = {"sequence_output": (several["padding_mask"] > 0, one["padding_mask"] > 0)}
    tokens["pooled_output"] = (present(weights, "next_sentence"), present(one_weights, "next_sentence"))
    for name, value in outputs.items():
        here, there = tokens[name]
        np.testing.assert_allclose(np.asarray(value)[here], np.asarray(expected[name])[there], atol=1e-5)


def test_logits_are_those_of_the_unpacked_rows():
    plain, packed = models()
    (one, _, one_weights), (several, _, weights) = unpacked_batch(), packed_batch()
    expected, outputs = plain(one), packed(several)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == {
        "masked_lm": (3, 8, 100),
        "next_sentence": (3, MAX_EXAMPLES, 2),
    }
    for name, value in outputs.items():
        here, there = present(weights, name), present(one_weights, name)
        np.testing.assert_allclose(np.asarray(value)[here], np.asarray(expected[name])[there], atol=1e-5)


@pytest.mark.parametrize("pooler", [True, False])
def test_masked_words_alone(pooler):
    plain, packed = models("BertMaskedLM", pooler)
    (one, _, one_weights), (several, _, weights) = unpacked_batch(), packed_batch()
    here, there = present(weights, "masked_lm"), present(one_weights, "masked_lm")
    np.testing.assert_allclose(np.asarray(packed(several))[here], np.asarray(plain(one))[there], atol=1e-5)


NOT_PACKED = {
    "BertNextSentencePredictor": {},
    "BertTextClassifier": {"num_classes": 2},
    "BertTokenClassifier": {"num_classes": 2},
    "BertQuestionAnswerer": {},
    "BertMultipleChoice": {},
    "BertTextEmbedder": {},
    "BertTranslator": {},
}


@pytest.mark.parametrize("name", NOT_PACKED)
def test_models_that_read_one_example_per_row_refuse_packed_rows(name):
    named = f"`backbone`: has packed rows, which {name} cannot read; build it with `packed=False`"
    with pytest.raises(kbs.UserError, match=named):
        getattr(kbs, name)(kbs.BertBackbone(CONFIG, packed=True), **NOT_PACKED[name])


def loss_and_gradients(model: keras.Model, batch: Batch) -> tuple[float, dict[str, np.ndarray]]:
    inputs, labels, weights = batch
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=inputs, y=labels, y_pred=model(inputs, training=True), sample_weight=weights)
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    paths = [variable.path for variable in model.trainable_variables]
    return float(loss), {
        path: np.asarray(tf.convert_to_tensor(gradient)) for path, gradient in zip(paths, gradients, strict=True)
    }


def test_the_loss_and_every_gradient_are_those_of_the_unpacked_rows():
    plain, packed = models()
    plain.compile()
    packed.compile()
    expected_loss, expected = loss_and_gradients(plain, unpacked_batch())
    loss, gradients = loss_and_gradients(packed, packed_batch())
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for path, gradient in gradients.items():
        # A key bias changes all scores equally, so its gradient is only a rounding error.
        scale = largest if path.endswith("key/bias") else np.abs(expected[path]).max()
        assert scale > 1e-4, path
        np.testing.assert_allclose(gradient, expected[path], atol=1e-5 * scale, err_msg=path)


@pytest.mark.usefixtures("eagerly")
def test_loss_and_accuracy_are_means_over_the_examples_that_are_there():
    plain, packed = models()
    results = []
    for model, (inputs, labels, weights) in ((plain, unpacked_batch()), (packed, packed_batch())):
        model.compile()
        logits = np.asarray(model(inputs)["masked_lm"])
        labels["masked_lm"][0, 0] = logits[0, 0].argmax()  # one right word, so that the accuracy is not 0
        data = tf.data.Dataset.from_tensors((inputs, labels, weights))
        results.append(model.evaluate(data, return_dict=True, verbose=0))
    assert set(results[0]) == set(results[1])
    for name, value in results[0].items():
        assert value > 0
        assert results[1][name] == pytest.approx(value, rel=1e-5), name


def test_one_example_per_row_gives_the_loss_of_unpacked_rows():
    plain, packed = models()
    plain.compile()
    packed.compile()
    loss, _ = loss_and_gradients(packed, batch_of(((7,), (4,)), 12, predictions=3, max_examples=1))
    expected, _ = loss_and_gradients(plain, unpacked_batch((7, 4)))
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("row", "index"), [(row, index) for row, sizes in enumerate(ROWS) for index in range(len(sizes))]
)
def test_an_example_changes_nothing_in_another(row, index):
    _, packed = models("BertBackbone")
    inputs = encoder_inputs(packed_batch()[0])
    before = packed(inputs)
    own = np.zeros_like(inputs["padding_mask"], "bool")
    own[row] = inputs["example_ids"][row] == index + 1
    inputs["token_ids"] = np.where(own, 104 - inputs["token_ids"], inputs["token_ids"])
    inputs["segment_ids"] = np.where(own, 1 - inputs["segment_ids"], inputs["segment_ids"])
    after = packed(inputs)
    changed = np.any(np.asarray(before["sequence_output"]) != np.asarray(after["sequence_output"]), axis=-1)
    np.testing.assert_array_equal(changed, own)
    changed = np.any(np.asarray(before["pooled_output"]) != np.asarray(after["pooled_output"]), axis=-1)
    others = packed_batch()[2]["next_sentence"] > 0
    assert changed[row, index]
    others[row, index] = False
    assert not changed[others].any()


@pytest.mark.parametrize("name", ["token_ids", "segment_ids", "example_ids"])
def test_what_stands_at_padding_changes_nothing(name):
    _, packed = models()
    inputs, _, weights = packed_batch()
    other = {**inputs, name: np.where(inputs["padding_mask"] > 0, inputs[name], 1)}
    assert not np.array_equal(other[name], inputs[name])
    before, after = packed(inputs), packed(other)
    for output in before:
        here = present(weights, output)
        np.testing.assert_array_equal(np.asarray(before[output])[here], np.asarray(after[output])[here])


def test_look_inside_gives_the_same_outputs_and_attention_within_examples():
    _, packed = models("BertBackbone")
    inputs = encoder_inputs(packed_batch()[0])
    inside, outside = packed.look_inside(inputs), packed(inputs)
    for name, value in outside.items():
        np.testing.assert_allclose(inside[name], value, atol=1e-6)
    same = inputs["example_ids"][:, :, None] == inputs["example_ids"][:, None, :]
    for weights in inside["attention_weights"]:
        np.testing.assert_array_equal(np.asarray(weights) > 0, np.repeat(same[:, None], CONFIG.num_heads, axis=1))


@pytest.mark.parametrize("name", ["BertBackbone", "BertPretrainer", "BertMaskedLM"])
def test_a_packed_model_is_saved_as_an_unpacked_one(name, tmp_path):
    plain, packed = models(name)
    packed.save_pretrained("packed")
    plain.save_pretrained("plain")
    assert (tmp_path / "packed/config.json").read_bytes() == (tmp_path / "plain/config.json").read_bytes()
    assert [variable.path for variable in packed.weights] == [variable.path for variable in plain.weights]
    for arguments in ({}, {"packed": True}):
        loaded = type(packed).from_pretrained("packed", **arguments)
        assert getattr(loaded, "backbone", loaded).packed == bool(arguments)
        for before, after in zip(packed.weights, loaded.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize("name", ["BertBackbone", "BertPretrainer", "BertMaskedLM"])
def test_keras_can_save_it(name):
    _, packed = models(name)
    inputs = packed_batch()[0]
    inputs = encoder_inputs(inputs) if name == "BertBackbone" else inputs
    packed.save("model.keras")
    loaded = keras.models.load_model("model.keras")
    assert loaded.get_config() == packed.get_config()
    expected, outputs = packed(inputs), loaded(inputs)
    for before, after in zip(tf.nest.flatten(expected), tf.nest.flatten(outputs), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize("packed", [True, False])
def test_a_description_makes_the_same_backbone(packed):
    backbone = kbs.BertBackbone(CONFIG, packed=packed)
    assert kbs.BertBackbone.from_config(backbone.get_config()).packed == packed
    # Descriptions written before the option existed do not contain it.
    assert not kbs.BertBackbone.from_config({"config": CONFIG.to_dict()}).packed


def test_one_traced_function_takes_every_shape():
    _, packed = models()
    inputs = packed_batch()[0]
    traced = tf.function(packed, input_signature=[{name: tf.TensorSpec((None, None), tf.int32) for name in inputs}])
    for batch in (inputs, batch_of(((4, 4), (9,)), 11, 5, max_examples=2)[0]):
        for name, value in traced(batch).items():
            np.testing.assert_allclose(value, packed(batch)[name], atol=1e-5)


@pytest.mark.slow
def test_xla_compiles_it():
    _, packed = models()
    inputs = {name: tf.constant(value) for name, value in packed_batch()[0].items()}
    for name, value in tf.function(packed, jit_compile=True)(inputs).items():
        np.testing.assert_allclose(value, packed(inputs)[name], atol=1e-5)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16", "float16"])
def test_low_precision_is_finite(dtype):
    model = kbs.BertPretrainer(kbs.BertBackbone(CONFIG, dtype=dtype, packed=True))
    inputs, _, _ = batch_of((*ROWS, ()), LENGTH, 8)  # the last row is only padding
    for name, value in model(inputs).items():
        assert value.dtype == tf.float32
        assert np.all(np.isfinite(np.asarray(value))), name
    outputs = model.backbone(encoder_inputs(inputs))
    assert np.all(np.isfinite(np.asarray(outputs["sequence_output"], "float32")))


@pytest.mark.slow
def test_fit_lowers_the_loss():
    model = kbs.BertPretrainer(kbs.BertBackbone(CONFIG.replace(num_layers=1, hidden_dropout=0.1), packed=True))
    model.compile(kbs.BertAdamW(3e-3))
    data = tf.data.Dataset.from_tensors(packed_batch()).repeat(30)
    first = model.evaluate(data.take(1), return_dict=True, verbose=0)
    model.fit(data, shuffle=False, verbose=0)
    last = model.evaluate(data.take(1), return_dict=True, verbose=0)
    for name in ("loss", "masked_lm_loss", "next_sentence_loss"):
        assert last[name] < 0.8 * first[name], name
