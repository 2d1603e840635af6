"""Predicting with a model's folder: the dtype in which the model computes."""

import json
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused
from tasks.conftest import QUICK

import keras_bert_scratch as kbs


@pytest.fixture(scope="module")
def few(documents) -> dict[str, list[str]]:
    texts = [sentence for document in documents for sentence in document][:16]
    return {"text": texts, "label": ["otter" if "otter" in text else "other" for text in texts]}


@pytest.fixture(scope="module")
def in_bfloat16(tmp_path_factory, small, tokenizer, few, eager_functions) -> str:
    folder = tmp_path_factory.mktemp("bfloat16") / "run"
    how = kbs.FineTuning(**{**QUICK, "epochs": 1})
    with eager_functions():
        config = small.replace(initializer_range=0.2)  # so that the dtypes differ in the fourth digit of the loss
        kbs.finetune("classification", config, few, folder, few, how, kbs.RunOptions("bfloat16"), tokenizer=tokenizer)
    return str(folder)


def loss(*arguments, **options):
    return kbs.evaluate(*arguments, **options)["loss"]


@pytest.mark.usefixtures("eagerly")
def test_a_run_is_measured_in_the_dtype_that_it_was_trained_in(in_bfloat16, few):
    run = json.loads((Path(in_bfloat16) / "run.json").read_text())
    assert kbs.evaluate(in_bfloat16, few) == run["results"]["dev"]
    assert loss(in_bfloat16, few, dtype="bfloat16") == run["results"]["dev"]["loss"]
    assert loss(in_bfloat16, few, dtype="float32") != run["results"]["dev"]["loss"]


@pytest.mark.usefixtures("eagerly")
def test_a_model_that_is_no_run_computes_in_float32_unless_told(in_bfloat16, few):
    kbs.FineTuned.load(in_bfloat16).save("model")
    assert loss("model", few) == loss(in_bfloat16, few, dtype="float32")
    assert loss("model", few, dtype="bfloat16") == loss(in_bfloat16, few)
    ours, rounded = (
        [row["score"] for row in kbs.predict("model", {"text": few["text"]}, dtype=dtype)]
        for dtype in (None, "bfloat16")
    )
    assert ours != rounded
    np.testing.assert_allclose(ours, rounded, atol=0.02)


@pytest.mark.slow
def test_an_exported_model_keeps_its_dtype(in_bfloat16, few):
    keras_bert("export", in_bfloat16, "--out", "exact", "--dtype", "float32")
    texts = {"text": few["text"]}
    found, ours = kbs.predict("exact", texts), kbs.predict(in_bfloat16, texts, dtype="float32")
    np.testing.assert_allclose([row["score"] for row in found], [row["score"] for row in ours], 1e-6)
    refused("predict", "exact", "a", "--dtype", "float16", saying="--dtype: the dtype of exact was fixed at export")


@pytest.mark.usefixtures("eagerly")
def test_commands_take_a_dtype(in_bfloat16, few):
    text = few["text"][0]
    printed = keras_bert("predict", in_bfloat16, text, "--dtype", "float32").stdout
    (answer,) = kbs.predict(in_bfloat16, {"text": [text]}, dtype="float32")
    assert printed == f"{answer['label']}\t{answer['score']:.3f}\t{text}\n"
    for verb in (("predict", in_bfloat16, text), ("export", in_bfloat16, "--out", "x")):
        refused(*verb, "--dtype", "double", saying="--dtype: 'double' is unknown; choose one of float32")
