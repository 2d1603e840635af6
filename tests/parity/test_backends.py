"""Our models on Keras's other backends: logits, gradients and an epoch of plain `fit`, from the same weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models.every_model import MODELS

from keras_bert_scratch.layers.text_pooling import POOLINGS

SCRIPT = Path(__file__).with_name("other_backend.py")
BACKENDS = ("jax", "torch")
ON_A_PROCESSOR = {"JAX_PLATFORMS": "cpu", "KERAS_TORCH_DEVICE": "cpu"}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("backends")
    for backend in ("tensorflow", *BACKENDS):
        environment = {**os.environ, **ON_A_PROCESSOR, "KERAS_BACKEND": backend}
        argv = [sys.executable, str(SCRIPT), str(folder / "weights.npz"), str(folder / f"{backend}.npz")]
        run = subprocess.run(argv, capture_output=True, text=True, env=environment)
        assert run.returncode == 0, run.stderr[-2000:]
    return {backend: dict(np.load(folder / f"{backend}.npz")) for backend in ("tensorflow", *BACKENDS)}


@pytest.mark.parametrize("what", ["logits", "gradient", "fit", "trained"])
@pytest.mark.parametrize("model", [*MODELS, "packed"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_another_backend_agrees_with_tensorflow(found, backend, model, what, record):
    names = [name for name in found["tensorflow"] if name.startswith(f"{model}/{what}/")]
    assert names
    assert found[backend].keys() == found["tensorflow"].keys()
    for name in names:
        expected = found["tensorflow"][name]
        difference = float(np.abs(found[backend][name] - expected).max())
        record(what, difference)
        assert difference <= 1e-5 * max(1.0, float(np.abs(expected).max())), name


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_another_backend_embeds_as_tensorflow_does(found, backend, pooling, record):
    name = f"embedding/{pooling}"
    difference = float(np.abs(found[backend][name] - found["tensorflow"][name]).max())
    record("embedding", difference)
    assert difference <= 1e-5
