"""Section 2: layers and models train on JAX and torch with TensorFlow's results, each backend in a separate process."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.cases.case import Group, NotHereError
from benchmarks.cases.small import home

parity = Group("2 other backends")
GROUPS = (parity,)

SCRIPT = """
import sys
import keras, numpy as np
import keras_bert_scratch as kbs

config = kbs.BertConfig(vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=12,
                        hidden_dropout=0.0, attention_dropout=0.0)
rng = np.random.default_rng(0)
ids = rng.integers(5, 50, (8, 7)).astype("int32")
mask = (np.arange(7) < rng.integers(4, 8, (8, 1))).astype("int32")
rows = {"token_ids": ids, "segment_ids": ids % 2, "padding_mask": mask}
masked = {**rows, "mask_positions": ids[:, :2] % 3}
models = {
    "classifier": (kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=3), rows, ids[:, 0] % 3),
    "pretrainer": (kbs.BertPretrainer(kbs.BertBackbone(config)), masked,
                   {"masked_lm": ids[:, :2], "next_sentence": ids[:, 0] % 2}),
}
out = {}
for name, (model, x, y) in models.items():
    draws = np.random.default_rng(1)
    weights = [draws.normal(size=weight.shape).astype("float32") * 0.3 for weight in model.get_weights()]
    model.set_weights(weights)
    logits = model.predict_on_batch(x)
    for part, value in (logits if isinstance(logits, dict) else {"": logits}).items():
        out[f"logits/{name}/{part}"] = keras.ops.convert_to_numpy(value)
    model.compile(keras.optimizers.SGD(1.0))
    model.train_on_batch(*keras.tree.map_structure(lambda values: values[:4], (x, y)))
    for number, (before, after) in enumerate(zip(weights, model.get_weights())):
        out[f"gradients/{name}/{number}"] = before - after  # one step at rate 1
    model.set_weights(weights)
    model.optimizer.learning_rate.assign(0.1)
    history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
    for metric, values in history.items():
        out[f"fit/{name}/{metric}"] = np.array(values)
    for number, weight in enumerate(model.get_weights()):
        out[f"fit/{name}/{number}"] = weight
np.savez(sys.argv[1], **out)
"""


@functools.cache
def found_on(backend: str) -> dict[str, np.ndarray]:
    """Returns logits, gradients and the results of an epoch of plain `fit`, by name."""
    if importlib.util.find_spec(backend) is None:
        raise NotHereError(f"needs {backend}")
    file = home() / f"{backend}.npz"
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parents[2]), environment.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, "-c", SCRIPT, file], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-300:]
    return dict(np.load(file))


for _backend in ("jax", "torch"):
    for _what in ("logits", "gradients", "fit"):

        @parity.right(f"{_what} on {_backend} are those on TensorFlow", _backend, _what)
        def _(backend: str, what: str) -> str:
            found, expected = found_on(backend), found_on("tensorflow")
            assert found.keys() == expected.keys()
            names = [name for name in expected if name.startswith(what)]
            assert len(names) > 2
            for name in names:
                np.testing.assert_allclose(found[name], expected[name], atol=2e-5, rtol=2e-5, err_msg=name)
            worst = max(float(np.abs(found[name] - expected[name]).max()) for name in names)
            return f"{len(names)} arrays, worst difference {worst:.1e}"
