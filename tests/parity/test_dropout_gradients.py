"""Gradients under dropout against transformers + torch: their mean and spread over many draws, weight by weight.

The random numbers differ, so single draws cannot agree. Mean and spread show what is dropped, where and how often.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
import transformers

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.names import huggingface_names, renamed
from keras_bert_scratch.layers.dropout import dropout_seed_scope

DRAWS, ROWS, LENGTH, WORDS = 600, 4, 10, 30
RATES = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.6, "classifier_dropout": 0.4}


@pytest.fixture(scope="module")
def theirs() -> transformers.BertForSequenceClassification:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=WORDS, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=LENGTH, initializer_range=0.3, num_labels=2, **RATES,
    )  # fmt: skip
    return transformers.BertForSequenceClassification(config).train()


def batch() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(0)
    mask = (np.arange(LENGTH) < np.array([[4], [7], [10], [9]])).astype("int32")
    token_ids = draws.integers(5, WORDS, (ROWS, LENGTH)).astype("int32") * mask
    return {"token_ids": token_ids, "segment_ids": (np.arange(LENGTH) > 3) * mask, "padding_mask": mask}


LABELS = np.array([0, 1, 1, 0], "int32")


def of_torch(model) -> dict[str, np.ndarray]:
    """The gradient of each weight by its name, a row for each draw."""
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    inputs = {names[name]: torch.from_numpy(np.asarray(value)).long() for name, value in batch().items()}
    found = {name: [] for name, _ in model.named_parameters()}
    for _ in range(DRAWS):
        model.zero_grad()
        model(**inputs, labels=torch.from_numpy(LABELS).long()).loss.backward()
        for name, weight in model.named_parameters():
            found[name].append(weight.grad.numpy().copy())
    return {name: np.stack(rows) for name, rows in found.items()}


def of_ours(model) -> list[np.ndarray]:
    """The same for our model, in the order of its weights."""
    weights = [weight.value for weight in model.trainable_variables]

    @tf.function
    def gradients(number):
        with dropout_seed_scope(number), tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(LABELS, model(batch(), training=True))
            loss = tf.reduce_mean(losses)
        return [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, weights)]

    rows = [[gradient.numpy() for gradient in gradients(tf.constant(number))] for number in range(DRAWS)]
    return [np.stack(draws) for draws in zip(*rows, strict=True)]


@pytest.fixture(scope="module")
def gradients(theirs, tmp_path_factory) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By our name of each weight: its gradients, ours and torch's, both `(draws, size)`."""
    folder = tmp_path_factory.mktemp("theirs")
    theirs.save_pretrained(folder)
    keras.utils.set_random_seed(0)
    ours = kbs.BertTextClassifier.from_pretrained(folder, num_classes=2)
    names = huggingface_names("BertTextClassifier")
    expected, found = of_torch(theirs), {}
    for weight, mine in zip(ours.trainable_variables, of_ours(ours), strict=True):
        other = expected.pop(renamed(weight.path, names))
        if other.ndim == 3 and weight.path.endswith("kernel"):
            other = other.transpose(0, 2, 1)
        assert mine.shape == other.shape
        found[weight.path] = mine.reshape(DRAWS, -1), other.reshape(DRAWS, -1)
    assert not expected
    return found


def test_the_gradients_of_all_weights_spread_alike(gradients, record):
    """The mean squared distance of a draw from the mean is the same within 5 standard errors."""
    for name, sides in gradients.items():
        squares = [((side - side.mean(axis=0)) ** 2).sum(axis=1) for side in sides]
        error = np.sqrt(sum(square.var() / DRAWS for square in squares)) + 1e-12
        off = abs(squares[0].mean() - squares[1].mean()) / error
        record("spread of gradients under dropout, in standard errors", off)
        assert off < 5, name


def test_the_gradients_of_all_weights_have_one_mean(gradients, record):
    """The squared distance of the two means, compared with what chance alone gives."""
    for name, sides in gradients.items():
        chance = sum(side.var(axis=0).sum() / DRAWS for side in sides) + 1e-12
        off = ((sides[0].mean(axis=0) - sides[1].mean(axis=0)) ** 2).sum() / chance
        record("squared distance of mean gradients under dropout, of what chance gives", off)
        assert off < 3, name


def test_one_draw_tells_nothing_of_the_next(gradients):
    """Draws are numbered, and consecutive numbers must not drop the same units."""
    for name, (ours, _) in gradients.items():
        around = ours - ours.mean(axis=0)
        products = (around[1:] * around[:-1]).sum(axis=1)
        assert abs(products.mean()) < 5 * products.std() / np.sqrt(DRAWS) + 1e-12, name
