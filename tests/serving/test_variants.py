"""The network for LiteRT and ONNX Runtime: what its variants compute, and how the export compares them."""

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from commands.calls import keras_bert, refused
from fast_and_slow import slow_but
from serving.every_task import asked_rows, fine_tuned
from tasks.conftest import tuned as fine_tuned_run

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.frozen_network import FrozenNetwork
from keras_bert_scratch.serving.variants import VARIANTS, EngineModel, write_variants

MODELS = ["classification", "long texts", "ner with a CRF", "qa", "choice", "fill-mask", "embed", "generate"]


@pytest.mark.parametrize("variant", slow_but(["litert"], ["litert", "onnx"]))
@pytest.mark.parametrize("name", slow_but([], MODELS))
def test_a_task_answers_by_another_engine_as_by_its_own(config, tokenizer, tmp_path, name, variant):
    tuned = fine_tuned(name, config, tokenizer)
    frozen = dataclasses.replace(tuned, network=FrozenNetwork(tuned.model))
    (tmp_path / "saved_model.pb").touch()
    (tmp_path / "variables").mkdir()
    write_variants(frozen, tmp_path, [variant], None)
    run = VARIANTS[variant].run(tmp_path / "variants" / VARIANTS[variant].file)
    other = dataclasses.replace(tuned, network=EngineModel(tuned.model, run))
    rows = [row for several in asked_rows(tuned.spec.columns) for row in several]
    raw = {column: [row[column] for row in rows] for column in tuned.spec.columns}
    (ours, _), (theirs, _) = tuned.decoded(raw), other.decoded(raw)
    for output, values in ours.items():
        if values.dtype == np.float32:
            np.testing.assert_allclose(theirs[output], values, rtol=1e-5, atol=1e-4, err_msg=output)
        else:
            assert theirs[output].tolist() == values.tolist(), output


@pytest.fixture(scope="module")
def run(small, tokenizer, documents, tmp_path_factory) -> Path:
    texts = [sentence for document in documents for sentence in document if re.search("heron|otter", sentence)][:72]
    data = {"text": texts, "label": ["otter" if "otter" in text else "heron" for text in texts]}
    path = tmp_path_factory.mktemp("run") / "run"
    fine_tuned_run(small, tokenizer, data, path, data, epochs=8)
    rows = zip(data["text"], data["label"], strict=True)
    (path.parent / "dev.tsv").write_text("text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in rows))
    return path


@pytest.mark.slow
def test_the_export_compares_them(run):
    """By size, time and the task's own metric, on the screen and in the card."""
    names, dev = ",".join(VARIANTS), run.parent / "dev.tsv"
    result = keras_bert("export", str(run), "--out", "saved", "--no-warm-up", "--variants", names, "--data", str(dev))
    assert result.exit_code == 0, result.output
    card = Path("saved/README.md").read_text()
    table = card.split("## Variants\n")[1].split("\n## ")[0]
    heading, _, *rows = [re.findall(r"[^|]+", line) for line in table.splitlines() if line.startswith("|")]
    accuracy = {}
    for row in rows:
        name, *cells = map(str.strip, row)
        values = dict(zip(map(str.strip, heading[1:]), cells, strict=True))
        assert float(values["ms, 1 x 16"]) > 0
        accuracy[name] = float(values["accuracy"])
        assert name in result.stdout
    assert set(accuracy) == {"SavedModel", *VARIANTS}
    expected = kbs.evaluate("saved", dev)["accuracy"]
    assert accuracy["litert"] == accuracy["onnx"] == accuracy["SavedModel"] == expected > 0.9
    assert min(accuracy.values()) > expected - 0.1
    sizes = {name: (Path("saved/variants") / variant.file).stat().st_size for name, variant in VARIANTS.items()}
    assert sizes["litert-int8"] < sizes["litert"]  # not in .onnx: at this size the scales are larger than the weights


@pytest.fixture(scope="module")
def model(config, tokenizer, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model"
    fine_tuned("classification", config, tokenizer).save(path)
    return path


def test_what_cannot_be_is_named_before_the_work(model, config, tokenizer, monkeypatch):
    monkeypatch.setattr("keras_bert_scratch.serving.export.endpoints_of", None)
    to = ("export", model, "--out", "x")
    refused(*to, "--variants", "litert,tensorrt", saying="--variants: 'tensorrt' is unknown; choose from litert")
    refused(*to, "--data", "dev.tsv", saying="--data: is only for measuring --variants; give some")
    refused(*to, "--variants", "onnx", "--dtype", "bfloat16", saying="--variants: need a float32 model, not bfloat16")
    Path("dev.tsv").write_text("text\tlabel\na\tox\n")
    refused(*to, "--variants", "onnx", "--data", "dev.tsv", saying="has the label 'ox'")
    with pytest.raises(kbs.UserError, match="`variants`: translation calls its network step by step; leave them out"):
        kbs.export_saved_model(fine_tuned("translation", config, tokenizer), "x", variants=["onnx"])
    assert not Path("x").exists()


@pytest.mark.parametrize(
    ("variant", "module", "extra"),
    [("litert", "ai_edge_litert", "litert"), ("onnx-int8", "tf2onnx", "onnx")],
)
def test_what_is_not_installed_is_named(model, monkeypatch, variant, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    to = ("export", model, "--out", "x", "--no-warm-up", "--variants", variant)
    refused(*to, saying=rf"is missing; pip install 'keras_bert_scratch\[{extra}\]'")
    assert not Path("x").exists()
