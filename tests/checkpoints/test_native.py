"""Our own format: every weight is there, nothing is replaced before all is checked, two models are never mixed."""

import json
import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.architectures import model_shapes
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS
from keras_bert_scratch.text.vocabulary_files import read_vocabulary


def tiny(vocab_size: int = 8) -> kbs.BertConfig:
    return kbs.BertConfig(
        vocab_size=vocab_size, num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=8, hidden_dropout=0.0
    )


def vocabulary(letters: str) -> kbs.Vocabulary:
    return kbs.Vocabulary((*SPECIAL_TOKENS, *letters))


def classifier(labels: tuple[str, ...], seed: int = 0) -> kbs.BertTextClassifier:
    keras.utils.set_random_seed(seed)
    return kbs.BertTextClassifier(kbs.BertBackbone(tiny()), len(labels), label_names=labels)


def freeze_backbone(model) -> None:
    getattr(model, "backbone", model).trainable = False


def freeze_all(model) -> None:
    model.trainable = False


def freeze_embeddings(model) -> None:
    getattr(model, "backbone", model).embeddings.trainable = False


@pytest.mark.parametrize("freeze", [freeze_backbone, freeze_all, freeze_embeddings])
@pytest.mark.parametrize("class_name", ["BertBackbone", "BertPretrainer", "BertTextClassifier"])
def test_frozen_weights_are_written_too(class_name, freeze):
    config = tiny()
    backbone = kbs.BertBackbone(config)
    arguments = {"BertBackbone": None, "BertPretrainer": (), "BertTextClassifier": (3,)}[class_name]
    model = backbone if arguments is None else getattr(kbs, class_name)(backbone, *arguments)
    freeze(model)
    model.save_pretrained("model")
    held = read_tensors("model/model.weights.h5")
    assert {name: tensor.shape for name, tensor in held.items()} == model_shapes(config, class_name, True, 3)
    loaded = type(model).from_pretrained("model")
    for before, after in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


def test_what_dropout_draws_from_is_no_weight():
    model = kbs.BertBackbone(tiny().replace(hidden_dropout=0.5))
    model.save_pretrained("model")
    assert len(read_tensors("model/model.weights.h5")) == len(model_shapes(model.config, "BertBackbone", True))


def test_saving_holds_no_copy_of_all_weights():
    model = kbs.BertBackbone(tiny().replace(hidden_size=512, num_layers=4), pooler=False)
    sizes = [4 * int(np.prod(variable.shape)) for variable in model.weights]
    model.save_pretrained("model")  # imports and other one-time costs are not measured
    tracemalloc.start()
    try:
        model.save_pretrained("model")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * max(sizes) < sum(sizes) / 4


def test_a_checkpoint_stays_as_the_model_was():
    model = kbs.BertBackbone(tiny())
    checkpoint = model.to_checkpoint()
    before = {name: tensor.copy() for name, tensor in checkpoint.weights.items()}
    for variable in model.weights:
        variable.assign(variable + 1.0)
    for name, tensor in checkpoint.weights.items():
        np.testing.assert_array_equal(tensor, before[name], err_msg=name)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda c: c.weights.pop("logits/bias"), "logits/bias has the shape None, but"),
        (lambda c: c.weights.update({"crf/kernel": np.zeros(2)}), r"crf/kernel has the shape \(2,\), but .* None"),
        (
            lambda c: c.weights.update({"pooler/dense/bias": np.zeros(3)}),
            r"pooler/dense/bias has the shape \(3,\), but a BertTextClassifier needs \(16,\)",
        ),
        (lambda c: setattr(c, "label_names", ("a", "b", "c")), "`label_names`: has 3 names for 2 classes"),
        (lambda c: setattr(c, "vocabulary", vocabulary("abcdefgh")), "13 tokens, .* only 8 rows"),
    ],
    ids=["missing", "surplus", "misshapen", "labels", "vocabulary"],
)
def test_a_wrong_model_replaces_nothing(damage, named):
    tokenizer = kbs.BertTokenizer(vocabulary("abc"))
    classifier(("no", "yes")).save_pretrained("model", tokenizer)
    before = {file.name: file.read_bytes() for file in Path("model").iterdir()}
    checkpoint = classifier(("x", "y"), seed=1).to_checkpoint(tokenizer)
    damage(checkpoint)
    with pytest.raises(kbs.UserError, match=named):
        native.write(checkpoint, Path("model"))
    assert {file.name: file.read_bytes() for file in Path("model").iterdir()} == before


@pytest.mark.parametrize("place", ["model", "ram://translators/model"])
def test_no_target_vocabulary_stays_from_an_earlier_model(place):
    translator = kbs.BertTranslator(kbs.BertBackbone(tiny(), pooler=False))
    tokenizer = kbs.BertTokenizer(vocabulary("abc"), lowercase=True)
    with_target = kbs.BertTokenizer(tokenizer.vocabulary, True, kbs.BertTokenizer(vocabulary("xyz"), lowercase=True))
    for save in (lambda one: translator.save_pretrained(place, one), lambda one: one.save(place)):
        save(with_target)
        assert kbs.BertTokenizer.load(place).target.vocabulary == vocabulary("xyz")
        save(tokenizer)
        assert kbs.BertTokenizer.load(place).own_target is None
    translator.save_pretrained(place, with_target)
    translator.save_pretrained(place)  # without a tokenizer, the folder's stays
    assert kbs.BertTokenizer.load(place).target.vocabulary == vocabulary("xyz")


def test_a_vocabulary_that_stays_has_to_fit():
    kbs.BertTokenizer(vocabulary("abcdefgh")).save("model")
    with pytest.raises(kbs.UserError, match=r"vocab.txt: the vocabulary has 13 tokens, .* only 8 rows"):
        kbs.BertBackbone(tiny()).save_pretrained("model")
    assert not Path("model/config.json").exists()


def contents(checkpoint) -> tuple:
    tensors = {name: tensor.tobytes() for name, tensor in checkpoint.weights.items()}
    return checkpoint.label_names, checkpoint.vocabulary.tokens, checkpoint.lowercase, tensors


def test_labels_vocabulary_and_weights_never_mix(die_at):
    old = classifier(("no", "yes")).to_checkpoint(kbs.BertTokenizer(vocabulary("abc")))
    new = classifier(("good", "bad"), 1).to_checkpoint(kbs.BertTokenizer(vocabulary("xyz"), lowercase=False))

    def save(checkpoint) -> None:
        native.write(checkpoint, Path("model"))

    save(old)
    expected_old, expected_new = contents(old), contents(new)
    assert contents(read_checkpoint("model")) == expected_old
    seen = []
    for step in range(100):
        die_at(step)
        try:
            save(new)
        except die_at.Killed:
            die_at(None)
            found = contents(read_checkpoint("model"))
            assert found in (expected_old, expected_new), f"mixed after step {step}"
            assert read_vocabulary("model").vocabulary.tokens == found[1]
            seen.append(found == expected_new)
            save(old)
        else:
            die_at(None)
            break
    assert seen == sorted(seen)
    assert set(seen) == {False, True}
    assert contents(read_checkpoint("model")) == expected_new


def test_labels_of_older_folders_are_read():
    model = kbs.BertTextClassifier(kbs.BertBackbone(tiny()), 2)
    model.save_pretrained("model")
    described = json.loads(Path("model/config.json").read_text())
    del described["problem_type"]
    Path("model/config.json").write_text(json.dumps(described))
    Path("model/task.json").write_text(json.dumps({"task": "classification", "labels": ["no", "yes"], "max_length": 8}))
    assert read_checkpoint("model").label_names == ("no", "yes")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"config": None}, "config.json: should hold the config's fields"),
        ({"config": {"num_layers": "1"}}, "config.json: `num_layers`: must be a whole number"),
        ({"num_classes": "two"}, "config.json: num_classes, label_names or problem_type is damaged"),
        ({"label_names": {"0": "a"}}, "config.json: num_classes, label_names"),
        ({"problem_type": "guessing"}, "config.json: num_classes, label_names or problem_type"),
        ({"architecture": ["BertBackbone"]}, "config.json: its architecture .* is unknown"),
    ],
)
def test_a_damaged_config_is_named(change, named):
    classifier(("no", "yes")).save_pretrained("model")
    file = Path("model/config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(kbs.UserError, match=named):
        kbs.BertTextClassifier.from_pretrained("model")
