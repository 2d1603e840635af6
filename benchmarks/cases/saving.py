"""Section 2: frozen weights, `.keras` files, clones, SavedModels."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group
from benchmarks.cases.small import HOW, ROWS, batch, classifier, config, tokenizer
from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.tensor_file import read_tensors

frozen, files = Group("2 frozen weights"), Group("2 .keras files")
GROUPS = (frozen, files)


def same(one: Any, other: Any) -> None:
    """Asserts that both give the same outputs."""
    np.testing.assert_allclose(np.asarray(one(batch()[0])), np.asarray(other(batch()[0])), atol=1e-6)


@functools.cache
def fitted() -> kbs.BertTextClassifier:
    """Returns a bfloat16 classifier with remat and frozen embeddings, after one epoch with our optimizer."""
    model = kbs.BertTextClassifier(kbs.BertBackbone(config(), dtype="mixed_bfloat16", remat=True), num_classes=3)
    model.backbone.embeddings.trainable = False
    model.compile(kbs.BertAdamW(1e-3))
    model.fit(*batch(), verbose=0)
    return model


def loaded() -> kbs.BertTextClassifier:
    """Returns the same, loaded from a `.keras` file."""
    fitted().save("model.keras")
    return keras.models.load_model("model.keras")


@frozen.right("save_pretrained of a model with a frozen backbone writes every weight")
def _() -> str:
    model = classifier()
    model.backbone.trainable = False
    model.save_pretrained("model")
    written = read_tensors(Path("model/model.weights.h5"))
    assert set(written) == {weight.path for weight in model.weights}
    return f"{len(written)} tensors"


@frozen.right("the folder of a frozen model is loaded, and gives the same answers")
def _() -> None:
    model = classifier()
    model.trainable = False
    model.save_pretrained("model")
    same(model, kbs.BertTextClassifier.from_pretrained("model"))


@frozen.right("the run of fine-tuning with frozen layers holds every weight, the frozen ones as they were")
def _() -> None:
    model = kbs.BertPretrainer(kbs.BertBackbone(config()))
    model.save_pretrained("pretrained", tokenizer())
    how = kbs.FineTuning(**{**vars(HOW), "freeze_layers": 1})
    kbs.finetune("classification", "pretrained", ROWS, "run", how=how)
    before, after = (read_tensors(Path(folder, "model.weights.h5")) for folder in ("pretrained", "run"))
    for name in (name for name in before if name.startswith(("embeddings", "encoder"))):
        np.testing.assert_array_equal(after[name], before[name])
    assert not np.array_equal(after["pooler/dense/kernel"], before["pooler/dense/kernel"])


for _what, _damage, _says in (
    ("misses a weight", lambda weights: weights.pop("pooler/dense/kernel"), "pooler/dense/kernel"),
    (
        "has a weight of another shape",
        lambda weights: weights.update({"pooler/dense/bias": np.zeros(3)}),
        "pooler/dense/bias",
    ),
    ("has a weight too many", lambda weights: weights.update({"logits/spare": np.zeros(3)}), "logits/spare"),
):

    @frozen.clear(f"a model that {_what} replaces nothing", _says)
    def _(damage: Any = _damage) -> None:
        classifier(("old", "older", "oldest")).save_pretrained("model")
        before = {file.name: file.read_bytes() for file in Path("model").iterdir()}
        checkpoint = classifier().to_checkpoint()
        damage(checkpoint.weights)
        try:
            native.write(checkpoint, Path("model"))
        finally:
            assert {file.name: file.read_bytes() for file in Path("model").iterdir()} == before


@files.right("a loaded .keras model is compiled as it was, and evaluates alike")
def _() -> None:
    model = loaded()
    assert model.compiled
    assert type(model.optimizer) is kbs.BertAdamW
    found, expected = (m.evaluate(*batch(), verbose=0, return_dict=True) for m in (model, fitted()))
    assert np.allclose([found[name] for name in expected], list(expected.values())), (found, expected)


@files.right("a loaded .keras model has its optimizer's state")
def _() -> str:
    model = loaded()
    assert int(model.optimizer.iterations) == int(fitted().optimizer.iterations) > 0
    moments = [np.asarray(variable) for variable in fitted().optimizer.variables]
    assert sum(bool(np.any(moment)) for moment in moments) > 10
    for moment, variable in zip(moments, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(moment, np.asarray(variable))
    return f"{len(moments)} variables"


@files.right("a loaded .keras model has its dtype policy")
def _() -> str:
    found = {layer.dtype_policy.name for layer in loaded().backbone.encoder_blocks}
    assert found == {"mixed_bfloat16"}, found
    return found.pop()


@files.right("a loaded .keras model has its remat")
def _() -> None:
    assert loaded().backbone.encoder_blocks[0].remat is True


@files.right("a loaded .keras model keeps what is frozen")
def _() -> None:
    assert [v.path for v in loaded().trainable_variables] == [v.path for v in fitted().trainable_variables]
    assert len(fitted().trainable_variables) < len(fitted().variables)


@files.right("clone_model of a classifier")
def _() -> None:
    model = classifier()
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    same(model, clone)


@files.right("every layer of the backbone is serialized and made again")
def _() -> str:
    layers = [layer for layer in classifier().backbone.layers if not isinstance(layer, keras.layers.InputLayer)]
    for layer in layers:
        again = keras.layers.deserialize(keras.layers.serialize(layer))
        assert again.get_config() == layer.get_config()
    return f"{len(layers)} layers"


@files.right("a model of the backbone's inner layers is saved and loaded")
def _() -> None:
    backbone = classifier().backbone
    inner = keras.Model(backbone.inputs, backbone.encoder_blocks[0].output)
    inner.save("inner.keras")
    same(inner, keras.models.load_model("inner.keras"))


@files.right("a head of the user's on the backbone is saved and loaded")
def _() -> None:
    backbone = classifier().backbone
    model = keras.Model(backbone.inputs, keras.layers.Dense(2)(backbone.output["pooled_output"]))
    model.save("model.keras")
    same(model, keras.models.load_model("model.keras"))


@files.right("tf.saved_model.save after fit with our optimizer")
def _() -> None:
    tf.saved_model.save(fitted(), "saved")
    assert Path("saved/saved_model.pb").exists()


@files.right("model.export after fit with our optimizer gives the model's answers")
def _() -> None:
    model = fitted()
    model.export("exported", verbose=False)
    exported = tf.saved_model.load("exported")
    found = exported.serve(batch()[0])
    np.testing.assert_allclose(np.asarray(found, "float32"), np.asarray(model(batch()[0]), "float32"), atol=1e-2)
