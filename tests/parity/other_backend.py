"""Logits, gradients and an epoch of plain `fit` of our models on the Keras backend of this process.

    KERAS_BACKEND=torch python tests/parity/other_backend.py weights.npz out.npz

If `weights.npz` does not exist, random weights are drawn and written there, so that another backend can load them.
"""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from models.every_model import CONFIG, DIRECTIONS, IDS, INPUTS, LENGTH, MASK, MODELS, ROWS, WITH_MASKS, make

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.text_pooling import POOLINGS


def models() -> dict:
    """By name, a model, its inputs and its labels: every kind of model, and one with packed rows."""
    config = CONFIG.replace(num_layers=2)
    found = {name: (make(name, config=config), inputs, labels) for name, (_, _, inputs, labels) in MODELS.items()}
    packed = {**WITH_MASKS, "example_ids": MASK * (1 + (np.arange(LENGTH) > 2)).astype("int32")}
    packed["example_starts"] = np.tile(np.array([[0, 3]], "int32"), (ROWS, 1))
    pairs = IDS[:, :2] % 2
    pretrainer = kbs.BertPretrainer(kbs.BertBackbone(config, packed=True, name="backbone_packed"))
    found["packed"] = (pretrainer, packed, {"masked_lm": IDS[:, :2], "next_sentence": pairs})
    return found


def jax_gradients(model: keras.Model, x: dict, y: object, values: list) -> list:
    import jax

    others = [variable.value for variable in model.non_trainable_variables]

    def loss_of(values: list) -> object:
        outputs, _ = model.stateless_call(values, others, x, training=True)
        return model.compute_loss(x, y, outputs)

    return jax.grad(loss_of)(values)


def tensorflow_gradients(model: keras.Model, x: dict, y: object, values: list) -> list:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, values, unconnected_gradients="zero")]


def torch_gradients(model: keras.Model, x: dict, y: object, values: list) -> list:
    import torch

    loss = model.compute_loss(x, y, model(x, training=True))
    return torch.autograd.grad(loss, values, allow_unused=True, materialize_grads=True)


# Gradients of the loss by each backend's own functions; one per trainable variable.
GRADIENTS = {"jax": jax_gradients, "tensorflow": tensorflow_gradients, "torch": torch_gradients}


def main(weights_file: str, out_file: str) -> None:
    """Writes all results that another backend must reproduce."""
    keras.utils.set_random_seed(0)
    draws = np.random.default_rng(1)
    stored = dict(np.load(weights_file)) if Path(weights_file).exists() else {}
    out = {}
    built = models()
    encoder = built["tokens"][0].backbone
    for name, (model, x, y) in built.items():
        for variable in model.trainable_variables:
            key = f"{name}/{variable.path}"
            if key not in stored:
                stored[key] = (keras.ops.convert_to_numpy(variable) + draws.normal(size=variable.shape) * 0.2).astype(
                    "float32"
                )
            variable.assign(stored[key])
        paths = [variable.path for variable in model.trainable_variables]
        logits = model(x)
        for part, value in (logits if isinstance(logits, dict) else {"logits": logits}).items():
            value = keras.ops.convert_to_numpy(value)
            if DIRECTIONS.get(name) == "right-to-left":
                # Padding at the end sees no token: all its scores are near -10000, where float32 has steps of 0.001,
                # and a backend may round to the next one.
                value = value * MASK[..., None]
            out[f"{name}/logits/{part}"] = value
        model.compile(keras.optimizers.SGD(0.1))
        values = [variable.value for variable in model.trainable_variables]
        gradients = GRADIENTS[keras.backend.backend()](model, x, y, values)
        for path, gradient in zip(paths, gradients, strict=True):
            out[f"{name}/gradient/{path}"] = keras.ops.convert_to_numpy(gradient)
        history = model.fit(x, y, batch_size=4, shuffle=False, verbose=0).history
        out |= {f"{name}/fit/{metric}": np.array(values) for metric, values in history.items()}
        for path, variable in zip(paths, model.trainable_variables, strict=True):
            out[f"{name}/trained/{path}"] = keras.ops.convert_to_numpy(variable)
    for pooling in POOLINGS:
        embedder = kbs.BertTextEmbedder(encoder, pooling, layer_numbers=None)
        out[f"embedding/{pooling}"] = keras.ops.convert_to_numpy(embedder(INPUTS))
    np.savez(weights_file, **stored)
    np.savez(out_file, **out)


if __name__ == "__main__":
    main(*sys.argv[1:])
