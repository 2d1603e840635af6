"""A version of a model: loaded, called, and freed when nothing refers to it."""

import gc
import shutil
import weakref

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.server.served_model import ENGINES, ServedModel


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_of_it_stays_in_memory(served_models, engine):
    """TensorFlow keeps graphs that have gradients, and what they call in Python, for as long as the process lives."""
    _, folder = served_models["classification"]
    model = ServedModel(folder / "1", engine)
    model.run("serving_default", {"text": np.array([b"a heron"], object)})
    kept = [model._loaded if engine == "tensorflow" else model._model.engine]
    kept += [function.graph for function in model._functions.values()] if engine == "tensorflow" else []
    references = [weakref.ref(one) for one in (model, *kept)]
    del model, kept
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)


def test_rows_are_counted_as_the_model_reads_them(served_models):
    _, folder = served_models["classification"]
    model = ServedModel(folder / "1", "litert")
    texts = {"text": np.array([b"a heron", b"a heron " * 30], object)}
    tokens, sequences = model.sizes("serving_default", texts)
    assert (tokens.tolist(), sequences.tolist()) == ([5, 32], [1, 1])  # the second is truncated
    assert model.has_single_sequences
    assert model.run("serving_default", texts)["token_count"][1] > 32
    assert [model.padded_length(tokens) for tokens in (1, 7, 8, 32)] == [7, 7, 14, 32]
    tokens, sequences = model.sizes("serve_ids", {"token_ids": np.zeros((3, 9), np.int32)})
    assert (tokens.tolist(), sequences.tolist()) == ([9, 9, 9], [1, 1, 1])
    tokens, sequences = model.sizes("serve_ids", {"token_ids": np.zeros((2, 4, 9), np.int32)})  # of choices
    assert (tokens.tolist(), sequences.tolist()) == ([9, 9], [4, 4])


def test_a_warm_up_asks_what_the_export_wrote(served_models, tmp_path, monkeypatch):
    """It calls each signature at each length; if the export wrote no warm-up, it sends one row."""
    tuned, folder = served_models["classification"]
    kbs.export_saved_model(tuned, tmp_path / "warm", (16,))
    for path, signatures in (
        (tmp_path / "warm", ["serving_default", "serve_examples", "classify", "serve_ids"]),
        (folder / "1", []),
    ):
        asked = []
        model = ServedModel(path)
        monkeypatch.setattr(model, "run", lambda signature, inputs, asked=asked: asked.append(signature))
        model.warm_up()
        assert asked == ([name for name in signatures for _ in range(2)] or ["serving_default"])


def test_what_was_not_exported_is_refused(served_models, tmp_path):
    with pytest.raises(UserError, match=r"has no task.json; export it again"):
        ServedModel(tmp_path)
    _, folder = served_models["embed"]
    with pytest.raises(UserError, match=r"`engine`: .* has no variants/network-int8.tflite"):
        ServedModel(folder, "litert-int8")


DAMAGED = {
    "half of the graph": ("tensorflow", "saved_model.pb", "cannot be loaded as a SavedModel"),
    "no weights": ("tensorflow", "variables/variables.index", "cannot be loaded as a SavedModel"),
    "half of a variant": ("litert", "variants/network.tflite", "LiteRT cannot read it"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_said(served_models, tmp_path, name):
    engine, file, text = DAMAGED[name]
    shutil.copytree(served_models["classification"][1] / "1", tmp_path / "m")
    damaged = tmp_path / "m" / file
    if name.startswith("no"):
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
    with pytest.raises(UserError, match=rf"/m.*{text} \(.+\); export"):
        ServedModel(tmp_path / "m", engine)
