"""Losses and their gradients against torch's own, as transformers uses them for each problem type."""

import keras
import numpy as np
import pytest
import torch

from keras_bert_scratch.models.objectives import classes, labels_of_rows, numbers

DRAWS = np.random.default_rng(0)
LOGITS = DRAWS.normal(size=(6, 4)).astype("float32") * 3
CASES = {
    "single_label_classification": (classes, torch.nn.CrossEntropyLoss(), DRAWS.integers(0, 4, 6)),
    "multi_label_classification": (labels_of_rows, torch.nn.BCEWithLogitsLoss(), DRAWS.integers(0, 2, (6, 4))),
    "regression": (numbers, torch.nn.MSELoss(), DRAWS.normal(size=(6, 4)).astype("float32")),
}


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
