import keras
import numpy as np
import pytest
import tensorflow as tf
from models.every_model import MODELS, every_model, make, same_outputs

import keras_bert_scratch as kbs
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

LENGTH = 12


def a_batch(rows: int = 3, length: int = LENGTH, seed: int = 0, vocab_size: int = 100) -> dict[str, np.ndarray]:
    """Two segments per row and padding behind some rows."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, length + 1, rows)
    position = np.arange(length)[None]
    return {
        "token_ids": rng.integers(5, vocab_size, (rows, length)).astype("int32"),
        "segment_ids": (position >= sizes[:, None] // 2).astype("int32"),
        "padding_mask": (position < sizes[:, None]).astype("int32"),
    }


@pytest.fixture(scope="module")
def backbone(config) -> kbs.BertBackbone:
    return kbs.BertBackbone(config)


def test_agrees_with_keras_hub():
    """KerasHub's encoder with our weights gives our outputs."""
    keras_nlp = pytest.importorskip("keras_nlp", reason="keras-nlp comes with the test extra")
    config = kbs.BertConfig(vocab_size=100, num_layers=3, hidden_size=128, num_heads=2, activation="gelu_tanh")
    ours = kbs.BertBackbone(config)
    theirs = keras_nlp.models.BertBackbone(
        vocabulary_size=100, num_layers=3, num_heads=2, hidden_dim=128, intermediate_dim=512, dropout=0.1
    )
    rng = np.random.default_rng(0)
    for variable in ours.trainable_variables:
        variable.assign(np.asarray(variable) + rng.normal(size=variable.shape) * 0.02)
    copy_to_keras_hub(ours, theirs)
    batch = a_batch(4, 16)
    expected = theirs(batch)
    for name, tolerance in (("sequence_output", 2e-5), ("pooled_output", 2e-5)):
        # At padding, KerasHub computes other values than we do; they are not used.
        seen = batch["padding_mask"][..., None] if name == "sequence_output" else 1
        difference = np.abs(np.asarray(ours(batch)[name] - expected[name]) * seen).max()
        assert difference < tolerance, (name, difference)


def copy_to_keras_hub(ours: kbs.BertBackbone, theirs: keras.Model) -> None:
    config, split = ours.config, (ours.config.num_heads, ours.config.hidden_size // ours.config.num_heads)
    embeddings = ours.embeddings
    theirs.get_layer("token_embedding").embeddings.assign(embeddings.token_embedding)
    theirs.get_layer("segment_embedding").embeddings.assign(embeddings.segment_embedding)
    theirs.get_layer("position_embedding").position_embeddings.assign(embeddings.position_embedding)
    theirs.get_layer("embeddings_layer_norm").set_weights(embeddings.layer_norm.get_weights())
    for index, block in enumerate(ours.encoder_blocks):
        layer = theirs.get_layer(f"transformer_layer_{index}")
        attention = layer._self_attention_layer
        for name in ("query", "key", "value"):
            kernel, bias = getattr(block.attention, name).get_weights()
            getattr(attention, f"_{name}_dense").set_weights(
                [kernel.reshape(config.hidden_size, *split), bias.reshape(split)]
            )
        kernel, bias = block.attention.output_projection.get_weights()
        attention._output_dense.set_weights([kernel.reshape(*split, config.hidden_size), bias])
        layer._self_attention_layer_norm.set_weights(block.attention_norm.get_weights())
        layer._feedforward_intermediate_dense.set_weights(block.feed_forward.intermediate.get_weights())
        layer._feedforward_output_dense.set_weights(block.feed_forward.output_projection.get_weights())
        layer._feedforward_layer_norm.set_weights(block.feed_forward_norm.get_weights())
    theirs.get_layer("pooled_dense").set_weights(ours.pooler.get_weights())


@pytest.mark.parametrize("position", range(1, LENGTH))
def test_padding_changes_nothing(backbone, position):
    """From `position` on all is padding: neither its tokens nor its amount changes the outputs before it."""
    batch = a_batch(2)
    batch["padding_mask"] = np.broadcast_to(np.arange(LENGTH) < position, (2, LENGTH)).astype("int32")
    other = {name: value.copy() for name, value in batch.items()}
    other["token_ids"][:, position:] = 7
    other["segment_ids"][:, position:] = 0
    short = {name: value[:, :position] for name, value in batch.items()}
    padded, changed, cut = backbone(batch), backbone(other), backbone(short)
    for name in ("sequence_output", "pooled_output"):
        real = (slice(None), slice(position)) if name == "sequence_output" else ()
        np.testing.assert_array_equal(np.asarray(padded[name])[real], np.asarray(changed[name])[real])
        np.testing.assert_allclose(np.asarray(padded[name])[real], np.asarray(cut[name]), atol=1e-5)


def test_a_row_longer_than_the_position_table_is_named(backbone):
    with pytest.raises(kbs.UserError, match="65 tokens are more than the 64 positions"):
        backbone(a_batch(1, 65))


def test_what_is_not_padding_counts(backbone):
    batch = a_batch(1)
    batch["padding_mask"][:] = 1
    before = np.asarray(backbone(batch)["pooled_output"])
    for position in range(LENGTH):
        other = {name: value.copy() for name, value in batch.items()}
        other["token_ids"][0, position] = 6 if batch["token_ids"][0, position] != 6 else 7
        assert np.abs(np.asarray(backbone(other)["pooled_output"]) - before).max() > 1e-6, position


def test_look_inside_gives_the_same_outputs_and_what_led_to_them(backbone):
    batch = a_batch(2)
    inside, outside = backbone.look_inside(batch), backbone(batch)
    np.testing.assert_allclose(inside["sequence_output"], outside["sequence_output"], atol=1e-6)
    np.testing.assert_allclose(inside["pooled_output"], outside["pooled_output"], atol=1e-6)
    assert [tuple(x.shape) for x in inside["layer_outputs"]] == 3 * [(2, LENGTH, 16)]
    assert [tuple(x.shape) for x in inside["attention_weights"]] == 2 * [(2, 2, LENGTH, LENGTH)]


def test_bfloat16_stays_near(config):
    """With three significant digits, outputs differ by a few hundredths at most; heads return float32."""
    keras.utils.set_random_seed(3)
    full = kbs.BertPretrainer(kbs.BertBackbone(config))
    keras.utils.set_random_seed(3)
    half = kbs.BertPretrainer(kbs.BertBackbone(config, dtype="mixed_bfloat16"))
    batch = {**a_batch(4), "mask_positions": np.array(4 * [[1, 2]], "int32")}
    for name, value in half(batch).items():
        assert value.dtype == tf.float32
        assert np.abs(np.asarray(value) - np.asarray(full(batch)[name])).max() < 0.03


def test_the_loss_is_the_papers(config):
    """The mean over the masked positions that count, plus the mean over the pairs, computed in numpy."""
    model = kbs.BertPretrainer(kbs.BertBackbone(config))
    model.compile()
    batch = {**a_batch(2), "mask_positions": np.array([[1, 2, 3], [1, 0, 0]], "int32")}
    labels = {"masked_lm": np.array([[9, 8, 7], [6, 0, 0]]), "next_sentence": np.array([0, 1])}
    counts = {"masked_lm": np.array([[1.0, 1, 1], [1, 0, 0]]), "next_sentence": np.ones(2)}
    logits = {name: np.asarray(value, "float64") for name, value in model(batch).items()}

    def mean_loss(name):
        x = logits[name]
        log_p = x - np.log(np.exp(x).sum(-1, keepdims=True))
        losses = -np.take_along_axis(log_p, labels[name][..., None], -1)[..., 0]
        return (losses * counts[name]).sum() / counts[name].sum()

    results = model.evaluate(tf.data.Dataset.from_tensors((batch, labels, counts)), return_dict=True, verbose=0)
    assert results["masked_lm_loss"] == pytest.approx(mean_loss("masked_lm"), rel=1e-5)
    assert results["loss"] == pytest.approx(mean_loss("masked_lm") + mean_loss("next_sentence"), rel=1e-5)


@every_model
def test_a_folder_brings_back_the_same_model(name, tmp_path):
    inputs, model = MODELS[name][2], make(name)
    tokenizer = kbs.BertTokenizer(kbs.Vocabulary((*SPECIAL_TOKENS, *(f"w{number}" for number in range(45)))))
    model.save_pretrained("model", tokenizer)
    loaded = type(model).from_pretrained("model")
    assert len(loaded.weights) == len(model.weights)
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    same_outputs(model, loaded, inputs)
    assert loaded.backbone.config == model.backbone.config
    assert kbs.BertTokenizer.load("model").vocabulary == tokenizer.vocabulary
    names = {file.name for file in (tmp_path / "model").iterdir()}
    assert names == {"README.md", "config.json", "model.weights.h5", "vocab.txt", "tokenizer_config.json"}


def test_a_backbone_is_saved_alone(config):
    model = kbs.BertBackbone(config)
    model.save_pretrained("model")
    same_outputs(model, kbs.BertBackbone.from_pretrained("model"), a_batch())


def test_a_new_head_takes_the_stored_backbone(config):
    pretrainer = kbs.BertPretrainer(kbs.BertBackbone(config))
    pretrainer.save_pretrained("model")
    classifier = kbs.BertTextClassifier.from_pretrained("model", num_classes=4)
    batch = a_batch(2)
    np.testing.assert_array_equal(
        np.asarray(classifier.backbone(batch)["pooled_output"]), np.asarray(pretrainer.backbone(batch)["pooled_output"])
    )
    assert classifier(batch).shape == (2, 4)
    with pytest.raises(kbs.UserError, match="num_classes"):
        kbs.BertTextClassifier.from_pretrained("model")
    # A classifier with another number of classes keeps the backbone and gets a new head.
    classifier.save_pretrained("four")
    assert kbs.BertTextClassifier.from_pretrained("four", num_classes=2).num_classes == 2
    assert kbs.BertTextClassifier.from_pretrained("four").num_classes == 4


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda model: (model / "config.json").unlink(), "config.json"),
        (lambda model: (model / "config.json").write_text("{"), "config.json"),
        (lambda model: (model / "config.json").write_text('{"architecture": "GPT"}'), "architecture"),
        (lambda model: (model / "model.weights.h5").unlink(), "model.weights.h5"),
        (lambda model: (model / "model.weights.h5").write_bytes(b"\x89HDF\r\n"), "model.weights.h5"),
        (
            lambda model: (model / "config.json").write_text(
                (model / "config.json").read_text().replace('"hidden_size": 16', '"hidden_size": 32')
            ),
            "model.weights.h5",
        ),
    ],
    ids=["no config", "no json", "other architecture", "no weights", "damaged weights", "other sizes"],
)
def test_a_damaged_directory_is_named(config, tmp_path, damage, named):
    kbs.BertBackbone(config).save_pretrained("model")
    damage(tmp_path / "model")
    with pytest.raises(kbs.UserError, match=named):
        kbs.BertBackbone.from_pretrained("model")
