"""Logits, loss and gradients against stored results of transformers and torch (`golden/make_transformers.py`).

The larger sizes are slow. `tests/parity` compares the same cases in full with transformers itself.
"""

from pathlib import Path

import numpy as np
import our_bert
import pytest
from seeded_bert import CASES, EVERY, digest

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "transformers.npz")


def parameters(*names: str) -> list:
    return [pytest.param(name, marks=[pytest.mark.slow] * CASES[name].big) for name in names]


@pytest.mark.parametrize("name", parameters(*CASES))
def test_logits_loss_and_gradients(name, tmp_path):
    case = CASES[name]
    words, pairs, loss, gradients = our_bert.outputs(our_bert.read(case, tmp_path), case)
    np.testing.assert_allclose(words[..., ::EVERY], GOLDEN[f"{name}/words"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(pairs, GOLDEN[f"{name}/pairs"], rtol=0, atol=1e-5)
    assert loss == pytest.approx(float(GOLDEN[f"{name}/loss"]), rel=1e-5)
    if case.gradients:
        found = np.array([digest(gradients[tensor]) for tensor in sorted(gradients)])
        expected = GOLDEN[f"{name}/gradients"]
        real = np.array([not case.has_no_gradient(tensor) for tensor in sorted(gradients)])
        norms = expected[:, :1]
        assert (np.abs(found - expected) <= 1e-5 * norms)[real].all()
        assert (found[~real, 0] < 1e-7 * norms.max()).all()


@pytest.mark.parametrize("name", parameters("l2-h128", "l4-h256", "l4-h512"))
def test_bfloat16_differs_by_its_rounding(name, tmp_path):
    """With eight bits of mantissa, logits of size 1 differ by 0.01 to 0.02, and the loss by a thousandth of itself."""
    case = CASES[name]
    words, pairs, loss, _ = our_bert.outputs(our_bert.read(case, tmp_path, dtype="mixed_bfloat16"), case)
    difference = np.abs(words[..., ::EVERY] - GOLDEN[f"{name}/words"]).max()
    assert 1e-5 < difference < 0.03
    assert np.abs(pairs - GOLDEN[f"{name}/pairs"]).max() < 0.03
    assert loss == pytest.approx(float(GOLDEN[f"{name}/loss"]), rel=2e-3)
