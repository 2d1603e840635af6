"""The translator and the left-to-right model against stored results of transformers (`golden/make_decoders.py`)."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from seeded_bert import digest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.huggingface_translator import translator_names
from keras_bert_scratch.checkpoints.names import huggingface_names, renamed
from keras_bert_scratch.data.pretraining.next_tokens import next_tokens

GOLDEN = Path(__file__).parents[1] / "golden" / "decoders"
MODELS = {
    "causal": (kbs.BertCausalLM, huggingface_names("BertCausalLM")),
    "translator": (kbs.BertTranslator, translator_names()),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_loss_and_gradients(name):
    model_class, names = MODELS[name]
    model, golden = model_class.from_pretrained(GOLDEN / name), np.load(GOLDEN / name / "outputs.npz")
    inputs = {key: golden[key].astype("int32") for key in model.input if key != "segment_ids"}
    inputs["segment_ids"] = np.zeros_like(inputs["token_ids"])
    if name == "causal":
        labels, weights = next_tokens(inputs["token_ids"], inputs["padding_mask"])
        told = inputs["padding_mask"] == 1
    else:
        labels, weights = golden["following"], None
        told = inputs["decoder_padding_mask"] == 1
    with tf.GradientTape() as tape:
        logits, objective = model(inputs), model.objectives[""]
        total, _, count = objective.sums(labels, logits, objective.weights(labels, inputs, weights), training=True)
        loss = total / count
    np.testing.assert_allclose(logits.numpy()[told], golden["logits"][told], atol=1e-5)
    assert float(loss) == pytest.approx(float(golden["loss"]), rel=1e-5)
    gradients = tape.gradient(loss, [variable.value for variable in model.weights])
    compared = 0
    for variable, gradient in zip(model.weights, gradients, strict=True):
        key = f"gradient/{renamed(variable.path, names)}"
        if gradient is None or key not in golden:
            continue
        found = keras.ops.convert_to_numpy(tf.convert_to_tensor(gradient))
        found = found.T if variable.path.endswith("/kernel") else found
        expected = golden[key]
        assert (np.abs(np.array(digest(found)) - expected) <= 1e-4 * max(expected[0], 1e-3)).all(), variable.path
        compared += 1
    assert compared > 30
