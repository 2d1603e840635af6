"""Models loaded from folders: what can be overridden, and how their classes match given labels."""

import logging
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint, write_checkpoint

CLASSIFIERS = [kbs.BertTextClassifier, kbs.BertTokenClassifier]
BATCH = {
    "token_ids": np.array([[2, 5, 6, 3]], "int32"),
    "segment_ids": np.zeros((1, 4), "int32"),
    "padding_mask": np.ones((1, 4), "int32"),
}


def tiny() -> kbs.BertConfig:
    return kbs.BertConfig(vocab_size=9, num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=8)


def saved(cls, labels: tuple[str, ...], folder: str = "model"):
    keras.utils.set_random_seed(2)
    model = cls(kbs.BertBackbone(tiny()), len(labels), label_names=labels)
    model.save_pretrained(folder)
    return model


def hugging_face(model) -> None:
    write_checkpoint(model.to_checkpoint(), "model", "huggingface")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ({"hidden_dropout": 0.5}, {"hidden_dropout": 0.5, "attention_dropout": 0.1}),
        ({"attention_dropout": 0.0, "classifier_dropout": 0.3}, {"attention_dropout": 0.0, "classifier_dropout": 0.3}),
        (
            {"config": tiny().replace(hidden_dropout=0.2, activation="relu")},
            {"hidden_dropout": 0.2, "activation": "relu"},
        ),
        ({"config": tiny().replace(hidden_dropout=0.2), "hidden_dropout": 0.3}, {"hidden_dropout": 0.3}),
        ({"config": tiny().replace(direction="left-to-right")}, {"direction": "left-to-right"}),
    ],
)
def test_rates_can_be_overridden(arguments, found):
    saved(kbs.BertTextClassifier, ("no", "yes"))
    config = kbs.BertTextClassifier.from_pretrained("model", **arguments).backbone.config
    assert {name: getattr(config, name) for name in found} == found
    assert config.replace(**{name: getattr(tiny(), name) for name in found}) == tiny()


@pytest.mark.parametrize("arguments", [{"config": tiny()}, {"direction": "both"}])
def test_a_one_way_model_can_become_one_that_attends_to_both_sides(arguments):
    kbs.BertBackbone(tiny().replace(direction="left-to-right")).save_pretrained("model")
    assert kbs.BertBackbone.from_pretrained("model", **arguments).config.direction == "both"


def test_rates_of_a_decoder_of_its_own_are_overridden_too():
    """Its sizes and its direction are not those of the encoder, and stay."""
    decoder = tiny().replace(vocab_size=12, hidden_size=32)
    kbs.BertTranslator(kbs.BertBackbone(tiny(), pooler=False), decoder=decoder).save_pretrained("model")
    rates = {"hidden_dropout": 0.0, "attention_dropout": 0.3}
    model = kbs.BertTranslator.from_pretrained("model", hidden_size=16, **rates)
    assert model.backbone.config == tiny().replace(**rates)
    assert model.decoder_config == decoder.replace(**rates)
    mine = decoder.replace(hidden_dropout=0.4)
    assert kbs.BertTranslator.from_pretrained("model", decoder=mine, **rates).decoder_config == mine


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"hidden_size": 32}, "`hidden_size`: is 16 in the weights and cannot become 32"),
        ({"num_heads": 4}, "`num_heads`"),
        ({"max_position_embeddings": 512}, "`max_position_embeddings`"),
        ({"config": kbs.BertConfig.preset("bert-tiny")}, "`vocab_size`: is 9 in the weights"),
        ({"hidden_dropout": 2.0}, "`hidden_dropout`: must be"),
        ({"dropout": 0.1}, "`dropout`: BertTextClassifier.from_pretrained takes no such argument"),
        ({"label_names": ("a", "b"), "num_classes": 3}, "`label_names`"),
    ],
)
def test_what_cannot_be_overridden_is_named(arguments, named):
    saved(kbs.BertTextClassifier, ("no", "yes"))
    with pytest.raises(kbs.UserError, match=named):
        kbs.BertTextClassifier.from_pretrained("model", **arguments)


def test_a_backbone_takes_no_arguments_of_a_head():
    saved(kbs.BertTextClassifier, ("no", "yes"))
    with pytest.raises(kbs.UserError, match=r"`num_classes`: BertBackbone\.from_pretrained takes no such argument"):
        kbs.BertBackbone.from_pretrained("model", num_classes=2)


def test_dtype_and_remat_can_be_chosen():
    saved(kbs.BertTextClassifier, ("no", "yes"))
    model = kbs.BertTextClassifier.from_pretrained("model", dtype="mixed_bfloat16", remat=True)
    assert model.backbone.embeddings.compute_dtype == "bfloat16"
    assert model.backbone.encoder_blocks[0].remat
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_label_names_are_kept(cls):
    saved(cls, ("no", "maybe", "yes"))
    model = cls.from_pretrained("model")
    assert tuple(model.label_names) == ("no", "maybe", "yes")
    model.save_pretrained("again")
    assert read_checkpoint("again").label_names == ("no", "maybe", "yes")


@pytest.mark.parametrize("cls", CLASSIFIERS)
def test_another_order_of_the_same_labels_reorders_the_head(cls, caplog):
    before = saved(cls, ("no", "maybe", "yes"))
    with caplog.at_level(logging.WARNING):
        after = cls.from_pretrained("model", label_names=("yes", "no", "maybe"))
    np.testing.assert_array_equal(np.asarray(after(BATCH)), np.asarray(before(BATCH))[..., [2, 0, 1]])
    assert tuple(after.label_names) == ("yes", "no", "maybe")
    assert any("reordered to yes, no, maybe" in record.getMessage() for record in caplog.records)


HEADS = [
    # stored names, arguments, resulting names, whether the head is kept, log message
    (("no", "yes"), {"label_names": ("no", "yes")}, ("no", "yes"), True, None),
    (("no", "yes"), {"label_names": ("bad", "good")}, ("bad", "good"), False, "its classes are no, yes, not bad, good"),
    (("no", "yes"), {"label_names": ("no", "yes", "so")}, ("no", "yes", "so"), False, "the head is newly initialized"),
    (("no", "yes"), {"num_classes": 2}, ("no", "yes"), True, None),
    (("no", "yes"), {"num_classes": 3}, (), False, "start from random numbers"),
    (("LABEL_0", "LABEL_1"), {"label_names": ("no", "yes")}, ("no", "yes"), True, "now named, in this order, no, yes"),
    ((), {"label_names": ("no", "yes")}, ("no", "yes"), True, "now named, in this order, no, yes"),
    ((), {"label_names": ("no", "yes", "so")}, ("no", "yes", "so"), False, "start from random numbers"),
]


@pytest.mark.parametrize(("stored", "arguments", "names", "kept", "logged"), HEADS)
def test_whose_head_it_is(stored, arguments, names, kept, logged, caplog):
    model = kbs.BertTextClassifier(kbs.BertBackbone(tiny()), 2, label_names=stored)
    model.save_pretrained("model")
    with caplog.at_level(logging.WARNING):
        loaded = kbs.BertTextClassifier.from_pretrained("model", **arguments)
    assert tuple(loaded.label_names) == names
    head = np.asarray(loaded.classifier_head.kernel)
    assert np.array_equal(head, np.asarray(model.classifier_head.kernel)) == kept
    messages = [record.getMessage() for record in caplog.records]
    assert any(logged in message for message in messages) if logged else not messages


def test_problem_type_is_kept():
    model = kbs.BertTextClassifier(kbs.BertBackbone(tiny()), 3, problem_type="multi_label_classification")
    model.save_pretrained("model")
    loaded = kbs.BertTextClassifier.from_pretrained("model")
    assert loaded.problem_type == "multi_label_classification"
    changed = kbs.BertTextClassifier.from_pretrained("model", problem_type="single_label_classification")
    assert changed.problem_type == "single_label_classification"


@pytest.mark.parametrize("arguments", [{"label_names": ("no", "yes")}, {"num_classes": 2}])
def test_a_score_s_head_gives_way_to_one_of_classes(arguments):
    kbs.BertTextClassifier(kbs.BertBackbone(tiny()), 1).save_pretrained("model")
    assert kbs.BertTextClassifier.from_pretrained("model").problem_type == "regression"
    model = kbs.BertTextClassifier.from_pretrained("model", **arguments)
    assert (model.num_classes, model.problem_type) == (2, "single_label_classification")


def test_two_classes_of_one_name_are_named_with_their_folder():
    checkpoint = saved(kbs.BertTextClassifier, ("no", "yes", "so")).to_checkpoint(label_names=("a", "b", "a"))
    write_checkpoint(checkpoint, "theirs", "huggingface")
    with pytest.raises(
        kbs.UserError, match=r"theirs: two of its classes have the name 'a'; rename one in config\.json"
    ):
        kbs.BertTextClassifier.from_pretrained("theirs")
    assert kbs.BertTextClassifier.from_pretrained("theirs", num_classes=2).num_classes == 2


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
@pytest.mark.parametrize("write", [lambda model: model.save_pretrained("model"), hugging_face], ids=["native", "other"])
def test_weights_of_any_dtype_are_stored_as_float32(write, dtype):
    model = kbs.BertBackbone(tiny(), dtype=dtype)
    write(model)
    stored = read_checkpoint("model").weights
    loaded = kbs.BertBackbone.from_pretrained("model", dtype=dtype)
    for before, after in zip(model.weights, loaded.weights, strict=True):
        assert stored[before.path].dtype == np.float32
        expected = keras.ops.convert_to_numpy(before).astype("float32")
        np.testing.assert_array_equal(stored[before.path], expected)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(after).astype("float32"), expected)


def test_other_files_of_the_folder_stay():
    Path("model").mkdir()
    Path("model/run.json").write_text("{}")
    saved(kbs.BertTextClassifier, ("no", "yes"))
    saved(kbs.BertTextClassifier, ("a", "b", "c"))
    names = {file.name for file in Path("model").iterdir()}
    assert names == {"README.md", "run.json", "config.json", "model.weights.h5"}
    assert kbs.BertTextClassifier.from_pretrained("model").num_classes == 3
