"""Models that read only some positions compute the last block only there; the results do not change."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(
    vocab_size=50, num_layers=2, hidden_size=16, num_heads=2, max_position_embeddings=12, hidden_dropout=0.0
).replace(attention_dropout=0.0)
ROWS = {
    "token_ids": [[2, 7, 8, 3, 2, 9, 3, 0], [2, 5, 6, 7, 8, 9, 10, 3]],
    "segment_ids": [[0, 0, 0, 1, 0, 0, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1]],
    "padding_mask": [[1, 1, 1, 1, 1, 1, 1, 0], [1] * 8],
    "example_ids": [[1, 1, 1, 1, 2, 2, 2, 0], [1] * 8],
    "example_starts": [[0, 4], [0, 0]],
    "mask_positions": [[2, 5, 0], [1, 6, 4]],
}
PACKING_ONLY = ("example_ids", "example_starts")
POOLED_MODELS = {
    "text classifier": lambda backbone: kbs.BertTextClassifier(backbone, num_classes=3),
    "multiple choice": kbs.BertMultipleChoice,
    "next sentence": kbs.BertNextSentencePredictor,
}
HEADS = {
    "text classifier": lambda model: model.classifier_head,
    "multiple choice": lambda model: model.choice_head,
    "next sentence": lambda model: model.next_sentence_head,
}


def inputs_of(packed: bool) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value, tf.int32) for name, value in ROWS.items() if packed or name not in PACKING_ONLY}


def random_weights(model: keras.Model) -> None:
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign(np.asarray(variable) + rng.normal(size=variable.shape) * 0.3)


def assert_same_outputs_and_gradients(model, *functions) -> None:
    found = []
    for function in functions:
        with tf.GradientTape() as tape:
            outputs = function()
            loss = tf.add_n([tf.reduce_mean(tf.square(value - 1.0)) for value in outputs.values()])
        values = [variable.value for variable in model.trainable_variables]
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        found.append(outputs | {str(at): tf.convert_to_tensor(value) for at, value in enumerate(gradients)})
    whole, part = found
    assert set(whole) == set(part)
    for name, value in whole.items():
        np.testing.assert_allclose(part[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


def read_of_everything(model: keras.Model, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The same heads on the backbone's full output."""
    table = model.backbone.embeddings.token_embedding
    encoded = model.backbone({name: value for name, value in inputs.items() if name != "mask_positions"})
    outputs = {"masked_lm": model.masked_lm_head(encoded["sequence_output"], table, inputs["mask_positions"])}
    if hasattr(model, "next_sentence_head"):
        outputs["next_sentence"] = model.next_sentence_head(encoded["pooled_output"])
    return outputs


@pytest.mark.parametrize("packed", [False, True], ids=["rows", "packed rows"])
@pytest.mark.parametrize("model_class", [kbs.BertPretrainer, kbs.BertMaskedLM])
def test_outputs_and_gradients_are_those_of_the_whole_network(model_class, packed):
    model, inputs = model_class(kbs.BertBackbone(CONFIG, packed=packed)), inputs_of(packed)
    random_weights(model)

    def read_of_some() -> dict[str, tf.Tensor]:
        outputs = model(inputs)
        return outputs if isinstance(outputs, dict) else {"masked_lm": outputs}

    assert_same_outputs_and_gradients(model, lambda: read_of_everything(model, inputs), read_of_some)


def pooled_inputs_of(name: str) -> dict[str, tf.Tensor]:
    inputs = {key: value for key, value in inputs_of(False).items() if key != "mask_positions"}
    return {key: value[:, None] for key, value in inputs.items()} if name == "multiple choice" else inputs


@pytest.mark.parametrize("name", POOLED_MODELS)
def test_heads_of_the_pooled_vector_are_those_of_the_whole_network(name):
    model, inputs = POOLED_MODELS[name](kbs.BertBackbone(CONFIG)), pooled_inputs_of(name)
    random_weights(model)

    def read_of_everything() -> dict[str, tf.Tensor]:
        rows = {key: tf.reshape(value, (2, 8)) for key, value in inputs.items()}
        return {"logits": HEADS[name](model)(model.backbone(rows)["pooled_output"])}

    assert_same_outputs_and_gradients(model, read_of_everything, lambda: {"logits": model(inputs)})


@pytest.mark.parametrize("model_class", [kbs.BertPretrainer, kbs.BertMaskedLM])
def test_the_last_block_works_at_the_places_alone(model_class, monkeypatch):
    model, widths = model_class(kbs.BertBackbone(CONFIG)), []
    for block in model.backbone.encoder_blocks:
        feed_forward = block.feed_forward.call
        monkeypatch.setattr(block.feed_forward, "call", lambda x, f=feed_forward: widths.append(x.shape[1]) or f(x))
    model(inputs_of(False))
    assert widths == [8, 4 if model_class is kbs.BertPretrainer else 3]


@pytest.mark.parametrize("name", POOLED_MODELS)
def test_the_last_block_works_at_the_first_position_alone(name, monkeypatch):
    model, widths = POOLED_MODELS[name](kbs.BertBackbone(CONFIG)), []
    for block in model.backbone.encoder_blocks:
        feed_forward = block.feed_forward.call
        monkeypatch.setattr(block.feed_forward, "call", lambda x, f=feed_forward: widths.append(x.shape[1]) or f(x))
    model(pooled_inputs_of(name))
    assert widths == [8, 1]
