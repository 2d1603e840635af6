"""Labels and weights in arrays: what Keras would misread is read correctly, what is impossible is named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES

pytestmark = pytest.mark.usefixtures("eagerly")

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, hidden_dropout=0.0, attention_dropout=0.0
)
IDS = np.random.default_rng(0).integers(5, 50, (6, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
WITH_MASKS = {**INPUTS, "mask_positions": np.tile(np.array([[1, 2]], "int32"), (6, 1))}
ROWS, TOKENS = np.array([0, 1, 2, 0, 1, 2]), IDS % 3
# name: class, arguments, inputs, labels
MODELS = {
    "text": ("BertTextClassifier", {"num_classes": 3}, INPUTS, ROWS),
    "tokens": ("BertTokenClassifier", {"num_classes": 3}, INPUTS, TOKENS),
    "masked": ("BertMaskedLM", {}, WITH_MASKS, IDS[:, :2]),
    "labels": (
        "BertTextClassifier",
        {"num_classes": 3, "problem_type": "multi_label_classification"},
        INPUTS,
        np.eye(3)[ROWS],
    ),
    "score": ("BertTextClassifier", {"num_classes": 1}, INPUTS, ROWS),
    "answer": ("BertQuestionAnswerer", {}, INPUTS, {"start": ROWS, "end": ROWS}),
}
OPTIMIZERS = {"ours": kbs.BertAdamW, "Keras's": keras.optimizers.SGD}
either_step = pytest.mark.parametrize("optimizer", OPTIMIZERS)
CLASS_WEIGHT = {0: 5.0, 1: 0.5, int(IDS[0, 0]): 3.0}  # two of the classes, and one token id


def make(name: str, optimizer: str = "ours") -> keras.Model:
    keras.utils.set_random_seed(1)
    class_name, arguments, *_ = MODELS[name]
    backbone = kbs.BertBackbone(CONFIG, pooler=ARCHITECTURES[class_name].needs_pooler)
    model = getattr(kbs, class_name)(backbone, **arguments)
    model.compile(OPTIMIZERS[optimizer](1e-2))
    return model


# Class weights become position weights before calls and steps take different paths: pairs suffice, not all triples.
@pytest.mark.parametrize(
    ("name", "column", "call", "optimizer"),
    [
        *(("text", False, call, optimizer) for call in ("fit", "train_on_batch") for optimizer in OPTIMIZERS),
        *(
            (name, column, call, optimizer)
            for name, column in (("tokens", False), ("masked", False))
            for call, optimizer in (("fit", "ours"), ("train_on_batch", "Keras's"))
        ),
        pytest.param("tokens", True, "fit", "ours", marks=pytest.mark.slow),
        pytest.param("tokens", True, "train_on_batch", "Keras's", marks=pytest.mark.slow),
    ],
)
def test_class_weights_count_at_every_position(name, column, call, optimizer):
    """keras-team/keras#16674: Keras treats labels of several positions as one-hot and weights whole rows."""
    _, _, inputs, labels = MODELS[name]
    weights = np.select([labels == label for label in CLASS_WEIGHT], list(CLASS_WEIGHT.values()), 1.0)
    labels = labels[..., None] if column else labels
    options = {} if call == "train_on_batch" else {"verbose": 0}
    by_class, by_position = make(name, optimizer), make(name, optimizer)
    getattr(by_class, call)(inputs, labels, class_weight=CLASS_WEIGHT, **options)
    getattr(by_position, call)(inputs, labels, sample_weight=weights, **options)
    for a, b in zip(by_class.get_weights(), by_position.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


DATASET = tf.data.Dataset.from_tensors((INPUTS, TOKENS))


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("labels", {"y": np.eye(3)[ROWS]}, "`class_weight`: needs a model with one output and one class"),
        ("score", {"y": ROWS}, "`class_weight`: needs a model with one output and one class"),
        ("answer", {"y": {"start": ROWS, "end": ROWS}}, "`class_weight`: .* one output"),
        ("tokens", {"x": DATASET}, "`class_weight`: .* for a dataset, give the weight of every position"),
        ("tokens", {"y": TOKENS, "validation_split": 0.5}, "`validation_split`: cannot be used with `class_weight`"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(name, arguments, said):
    with pytest.raises(kbs.UserError, match=said):
        make(name).fit(**{"x": INPUTS, **arguments}, class_weight=CLASS_WEIGHT, verbose=0)


@either_step
@pytest.mark.parametrize(
    ("name", "weights", "said"),
    [
        ("tokens", {"logits": np.ones((6, 7))}, "`sample_weight`: is for 'logits', .* give the weights without a name"),
        ("tokens", np.ones((6, 5)), r"`sample_weight`: weights of shape \((None|6), 5\) do not fit labels"),
        ("text", np.ones((6, 3)), r"`sample_weight`: weights of shape \((None|6), 3\) do not fit labels"),
        ("text", -np.ones(6), "`sample_weight`: must be finite and at least 0"),
        ("text", tf.constant([1, 1, np.nan, 1, 1, 1]), "`sample_weight`: must be finite .* has nan"),
    ],
)
def test_sample_weights_that_cannot_be_are_named(name, weights, said, optimizer):
    model = make(name, optimizer)
    for call in (model.fit, model.evaluate):
        with pytest.raises(kbs.UserError, match=said):
            call(*MODELS[name][2:], sample_weight=weights, verbose=0)


def test_weights_of_an_objective_that_is_not_there_are_named():
    data = tf.data.Dataset.from_tensors((INPUTS, MODELS["answer"][3], {"begin": np.ones(6)}))
    with pytest.raises(kbs.UserError, match=r"`sample_weight`: is for 'begin', .* its labels are start, end"):
        make("answer").fit(data, verbose=0)


@pytest.mark.parametrize("kind", [tf.constant, list])
def test_labels_in_arrays_of_any_library_are_checked(kind):
    with pytest.raises(kbs.UserError, match="the label 4 is too high"):
        make("text").fit(INPUTS, kind(ROWS + 2), verbose=0)


@pytest.mark.parametrize(
    ("name", "labels", "said"),
    [
        ("text", np.array(list("abcabc")), "class labels must be whole numbers; these are <U1"),
        ("score", np.array([np.nan, 1, 2, 3, 4, 5]), "labels must be numbers; .* some are missing"),
        ("labels", np.full((6, 3), "yes"), "labels must be numbers; these are <U3"),
    ],
)
def test_labels_that_are_no_numbers_are_named(name, labels, said):
    with pytest.raises(kbs.UserError, match=said):
        make(name).fit(INPUTS, labels, verbose=0)


@either_step
@pytest.mark.parametrize("name", ["text", "labels", "score"])
def test_bool_labels_are_0_and_1(name, optimizer):
    model, labels = make(name, optimizer), MODELS[name][3] > 0
    found, expected = (model.evaluate(INPUTS, y, verbose=0, return_dict=True) for y in (labels, labels.astype("int32")))
    assert found == expected
