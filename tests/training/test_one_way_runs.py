"""Pretraining of one-way models: packed rows, resuming, and further training of their weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from training.conftest import run_it, weights

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.training.options import TrainingOptions
from keras_bert_scratch.training.pretraining_evaluation import evaluate_pretrained


@pytest.mark.slow
@pytest.mark.parametrize("packing", [False, True], ids=["rows", "packed rows"])
@pytest.mark.parametrize("direction", ["left-to-right", "right-to-left"])
def test_a_one_way_model_learns(records, small, direction, packing, interrupted_after):
    """The run is interrupted and resumed; another evaluation gives the same loss."""
    rules = ExampleRules("none", packing=packing, objective=direction)
    interrupted_after(33)
    with pytest.raises(KeyboardInterrupt):
        run_it(records, small, "run", rules=rules, held_out=kbs.PretrainingRecords(records))
    run = run_it(records, small, "run", rules=rules, held_out=kbs.PretrainingRecords(records))
    before, after = run.results["held_out_before"], run.results["held_out_after"]
    assert after["loss"] < before["loss"] - 1
    assert after["accuracy"] > 0.1
    assert evaluate_pretrained("run", records) == pytest.approx(after, abs=1e-4)
    checkpoint = read_checkpoint("run")
    assert (checkpoint.architecture, checkpoint.config.direction) == ("BertCausalLM", direction)
    if not packing:
        run_it(records, small, "straight", rules=rules, held_out=kbs.PretrainingRecords(records))
        for name, value in weights("straight").items():
            np.testing.assert_array_equal(weights("run")[name], value, err_msg=name)


@pytest.mark.usefixtures("eagerly")
def test_a_bert_goes_on_as_a_one_way_model(records, finished):
    """The one-way model is then fine-tuned and keeps its direction."""
    rules = ExampleRules("none", objective="left-to-right")
    run_it(records, finished, "causal", rules=rules, training=TrainingOptions(steps=2))
    assert json.loads(Path("causal/run.json").read_text())["settings"]["start"] == str(finished)
    how, rows = kbs.FineTuning(epochs=1, batch_size=2, max_length=32), {"text": ["a", "b"], "label": ["no", "yes"]}
    kbs.finetune("classification", "causal", rows, "tuned", how=how)
    assert kbs.FineTuned.load("tuned").model.backbone.config.direction == "left-to-right"
