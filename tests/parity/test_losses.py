"""Losses and their gradients against torch's own, as transformers uses them for each problem type."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from keras_bert_scratch.models.objectives import classification_objective, multi_label_objective, regression_objective

DRAWS = np.random.default_rng(0)
LOGITS = DRAWS.normal(size=(6, 4)).astype("float32") * 3
CASES = {
    "single_label_classification": (classification_objective, torch.nn.CrossEntropyLoss(), DRAWS.integers(0, 4, 6)),
    "multi_label_classification": (multi_label_objective, torch.nn.BCEWithLogitsLoss(), DRAWS.integers(0, 2, (6, 4))),
    "regression": (regression_objective, torch.nn.MSELoss(), DRAWS.normal(size=(6, 4)).astype("float32")),
}


@pytest.mark.parametrize("smoothing", [0.1, 0.7])
@pytest.mark.parametrize("of_labels", [None, [0.5, 3.0, 1.0, 0.0]], ids=["alike", "weighted"])
def test_the_smoothed_loss_is_torchs(smoothing, of_labels, record):
    """torch weights every class of the smoothed target by its own weight, we the whole row by its label's weight."""
    labels = CASES["single_label_classification"][2]
    given = torch.tensor(LOGITS, requires_grad=True)
    losses = torch.nn.CrossEntropyLoss(label_smoothing=smoothing, reduction="none")(given, torch.tensor(labels))
    weights = np.ones(6) if of_labels is None else np.array(of_labels)[labels]
    expected = (losses * torch.tensor(weights)).sum() / weights.sum()
    expected.backward()

    ours = tf.constant(LOGITS)
    objective = classification_objective(label_smoothing=smoothing)
    with tf.GradientTape() as tape:
        tape.watch(ours)
        loss, _, weight = objective.sums(tf.constant(labels), ours, tf.constant(weights, tf.float32), training=True)
        loss = loss / weight
    record("loss", abs(float(loss) - expected.item()))
    assert float(loss) == pytest.approx(expected.item(), rel=1e-6)
    np.testing.assert_allclose(tape.gradient(loss, ours), given.grad, atol=1e-6)


@pytest.mark.parametrize("problem_type", CASES)
def test_loss_is_torchs(problem_type):
    objective, theirs, labels = CASES[problem_type]
    given = torch.tensor(LOGITS, requires_grad=True)
    expected = theirs(given, torch.tensor(labels if problem_type.startswith("single") else labels.astype("float32")))
    loss, _, weight = objective().sums(
        keras.ops.convert_to_tensor(labels),
        keras.ops.convert_to_tensor(LOGITS),
        objective().weights(keras.ops.convert_to_tensor(labels), {}),
    )
    assert float(loss) / float(weight) == pytest.approx(expected.item(), rel=1e-6)
