"""Our models on JAX: logits, gradients and an epoch of plain `fit` as on TensorFlow, from the same weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("other_backend.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("backends")
    for backend in ("tensorflow", "jax"):
        environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
        argv = [sys.executable, str(SCRIPT), str(folder / "weights.npz"), str(folder / f"{backend}.npz")]
        run = subprocess.run(argv, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr[-2000:]
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in ("tensorflow", "jax")}


@pytest.mark.parametrize("what", ["logits", "gradient", "fit", "trained"])
@pytest.mark.parametrize("model", ["pretrainer, rows", "pretrainer, packed", "classifier", "tagger"])
def test_jax_agrees_with_tensorflow(found, model, what, record):
    names = [name for name in found["tensorflow"] if name.startswith(f"{model}/{what}/")]
    assert names
    assert found["jax"].keys() == found["tensorflow"].keys()
    for name in names:
        expected = found["tensorflow"][name]
        difference = float(np.abs(found["jax"][name] - expected).max())
        record(what, difference)
        assert difference <= 1e-5 * max(1.0, float(np.abs(expected).max())), name
