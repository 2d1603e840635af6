"""BertTextEmbedder: any layers, pooled or not, and the options in its folder."""

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.text_pooling import pool_tokens, unit_length

MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], "int32")
BATCH = {"token_ids": np.array([[2, 5, 6, 3], [2, 3, 0, 0]], "int32"), "segment_ids": 0 * MASK, "padding_mask": MASK}


@pytest.fixture(scope="module")
def backbone(config) -> kbs.BertBackbone:
    return kbs.BertBackbone(config.replace(initializer_range=0.5), pooler=False)


@pytest.fixture(scope="module")
def layers(backbone) -> list[np.ndarray]:
    return [np.asarray(layer) for layer in backbone.look_inside(BATCH)["layer_outputs"]]


@pytest.mark.parametrize(
    ("numbers", "positions"),
    [((-1,), [2]), ((0,), [0]), ((-2, -1), [1, 2]), (None, [0, 1, 2]), ((1, -3, 1), [1, 0, 1])],
)
@pytest.mark.parametrize("pooling", ["mean", "max", "none"])
def test_layers_are_those_that_are_asked_for(backbone, layers, numbers, positions, pooling):
    model = kbs.BertTextEmbedder(backbone, pooling, layer_numbers=numbers)
    expected = [np.asarray(pool_tokens(layers[position], MASK, pooling)) for position in positions]
    if pooling != "none":
        expected = [np.asarray(unit_length(vector)) for vector in expected]
    expected = expected[0] if len(positions) == 1 else np.stack(expected, axis=-2)
    np.testing.assert_allclose(model(BATCH), expected, atol=1e-6)


def test_lengths_stay_where_they_are_not_to_be_one(backbone, layers):
    vectors = kbs.BertTextEmbedder(backbone, normalize=False)(BATCH)
    np.testing.assert_allclose(vectors, pool_tokens(layers[-1], MASK, "mean"), atol=1e-6)


def test_blocks_above_the_highest_layer_do_no_work(backbone, monkeypatch):
    called, call = [], EncoderBlock.call

    def counted(self, *args, **kwargs):
        called.append(self.name)
        return call(self, *args, **kwargs)

    model = kbs.BertTextEmbedder(backbone, layer_numbers=(1, 0))
    monkeypatch.setattr(EncoderBlock, "call", counted)
    model(BATCH)
    assert called == ["encoder_block_0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pooling": "sum"}, "`pooling`: 'sum' is unknown; choose one of mean, cls, max, none"),
        ({"layer_numbers": (3,)}, r"`layer_numbers`: has 3; the model's layers are 0 \(the embeddings\) to 2, or"),
        ({"layer_numbers": (-1, -4)}, "`layer_numbers`: has -4"),
        ({"layer_numbers": ()}, "`layer_numbers`: has none"),
        ({"max_length": 2}, "`max_length`: must be a whole number of at least 3, or None, not 2"),
        ({"max_length": "9"}, "`max_length`: must be a whole number"),
    ],
)
def test_what_cannot_be_is_named(backbone, arguments, message):
    with pytest.raises(kbs.UserError, match=message):
        kbs.BertTextEmbedder(backbone, **arguments)


@pytest.mark.usefixtures("eagerly")
def test_it_learns_by_a_loss_of_the_user_s_alone(config):
    model = kbs.BertTextEmbedder(kbs.BertBackbone(config, pooler=False))
    with pytest.raises(kbs.UserError, match="`loss`: a BertTextEmbedder has no objective of its own"):
        model.compile("sgd")
    model.compile(keras.optimizers.SGD(0.1), loss="mse")
    history = model.fit(BATCH, np.ones((2, config.hidden_size), "float32"), epochs=2, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    "arguments", [{}, {"pooling": "max", "normalize": False, "layer_numbers": None}, {"max_length": 5}]
)
def test_a_folder_keeps_how_texts_are_embedded(backbone, arguments):
    model = kbs.BertTextEmbedder(backbone, **arguments)
    model.save_pretrained("model")
    loaded = kbs.BertTextEmbedder.from_pretrained("model")
    assert loaded.embedding == model.embedding
    np.testing.assert_array_equal(loaded(BATCH), model(BATCH))
    assert kbs.BertTextEmbedder.from_pretrained("model", pooling="cls").pooling == "cls"


@pytest.mark.parametrize("cls", ["BertPretrainer", "BertQuestionAnswerer"])
def test_every_model_s_encoder_embeds(small, cls):
    model = getattr(kbs, cls)(kbs.BertBackbone(small))
    model.save_pretrained("model")
    expected = kbs.BertTextEmbedder(model.backbone)(BATCH)
    np.testing.assert_allclose(kbs.BertTextEmbedder.from_pretrained("model")(BATCH), expected, atol=1e-6)
