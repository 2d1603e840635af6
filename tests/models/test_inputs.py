"""A batch may hold more than a model reads; missing inputs are named."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs

CONFIG = kbs.BertConfig(vocab_size=50, num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=12)
IDS = np.random.default_rng(0).integers(5, 50, (6, 7)).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": 0 * IDS, "padding_mask": np.ones_like(IDS)}
LABELS = np.array([0, 1, 2, 0, 1, 2])
# Sorted by name, they come before, between and after the model's own; the first is an input of packed rows.
MORE = {"example_ids": np.ones_like(IDS), "row": np.arange(6), "weights": np.ones((6, 7))}
OPTIMIZERS = {"ours": kbs.BertAdamW, "Keras's": keras.optimizers.Adam}
either_step = pytest.mark.parametrize("optimizer", OPTIMIZERS)


def make(optimizer: str) -> keras.Model:
    model = kbs.BertTextClassifier(kbs.BertBackbone(CONFIG), num_classes=3)
    model.compile(OPTIMIZERS[optimizer]())
    return model


@either_step
def test_what_a_batch_brings_besides_changes_nothing(optimizer):
    """keras-team/keras#23258: Keras assigns the values of a dict to the inputs in the order of their names."""
    model = make(optimizer)
    np.testing.assert_array_equal(model.predict({**INPUTS, **MORE}, verbose=0), model.predict(INPUTS, verbose=0))
    few, more = (model.evaluate(x, LABELS, verbose=0, return_dict=True) for x in (INPUTS, {**INPUTS, **MORE}))
    assert more == few
    pooled = [np.asarray(model.backbone(x)["pooled_output"]) for x in (INPUTS, {**INPUTS, **MORE})]
    np.testing.assert_array_equal(*pooled)


@either_step
@pytest.mark.parametrize(
    ("x", "said"),
    [
        ([IDS, 0 * IDS, IDS], "`x`: must be a dict of token_ids, segment_ids, padding_mask, not tuple"),
        ({"input_ids": IDS, "segment_ids": 0 * IDS}, "`x`: has no token_ids, padding_mask; .* got input_ids, segment"),
        ({**INPUTS, "token_ids": tf.RaggedTensor.from_tensor(IDS)}, "`x`: token_ids is ragged; pad it"),
    ],
)
def test_inputs_that_cannot_be_are_named(optimizer, x, said):
    model = make(optimizer)
    for call in (model.fit, model.evaluate):
        with pytest.raises(kbs.UserError, match=said):
            call(x, LABELS, verbose=0)
    with pytest.raises(kbs.UserError, match=said):
        model.predict(x, verbose=0)


@pytest.mark.parametrize("number", [-1, 7])
@pytest.mark.parametrize("name", ["mask_positions", "example_starts"])
def test_a_position_beyond_its_row_is_named(name, number):
    """Without the check it means a token of the row before or after, as rows lie end to end."""
    backbone = kbs.BertBackbone(CONFIG, packed=name == "example_starts")
    model = kbs.BertPretrainer(backbone)
    positions = np.full((6, 2), 1)
    positions[3, 1] = number
    x = {**INPUTS, "mask_positions": np.ones_like(positions), "example_ids": np.ones_like(IDS)}
    x |= {"example_starts": np.zeros_like(positions), name: positions}
    model.compile(kbs.BertAdamW())
    for call in (model, model.predict, model.fit, model.evaluate):
        with pytest.raises(kbs.UserError, match=f"`x`: {name} has {number}, but its rows have the positions 0 to 6"):
            call(x)
    # The backbone does not read the masks.
    assert name == "example_starts" or backbone(x)["pooled_output"].shape == (6, 16)
