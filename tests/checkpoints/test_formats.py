"""Third-party files, written by their own programs (`tests/golden`): the models we read compute the same outputs."""

import dataclasses
import json
import shutil
from pathlib import Path

import h5py
import keras
import keras_nlp
import numpy as np
import our_bert
import pytest
import safetensors.numpy
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints import google
from keras_bert_scratch.checkpoints.formats import detect_format, read_checkpoint, write_checkpoint
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS

GOLDEN = Path(__file__).parents[1] / "golden"
HUGGING_FACE = {
    "BertModel": "BertBackbone",
    "BertForPreTraining": "BertPretrainer",
    "BertForMaskedLM": "BertMaskedLM",
    "BertForNextSentencePrediction": "BertNextSentencePredictor",
    "BertForSequenceClassification": "BertTextClassifier",
    "BertForTokenClassification": "BertTokenClassifier",
    "BertForQuestionAnswering": "BertQuestionAnswerer",
    "BertForMultipleChoice": "BertMultipleChoice",
}
MODEL_GARDEN = {
    "encoder_checkpoint": "BertBackbone",
    "encoder_v2_checkpoint": "BertBackbone",
    "pretrainer_checkpoint": "BertPretrainer",
    "saved_model": "BertMaskedLM",
}
EVERY = {
    **{f"huggingface/{theirs}": ours for theirs, ours in HUGGING_FACE.items()},
    "huggingface_tf/pretraining": "BertPretrainer",
    "huggingface_tf/classification": "BertTextClassifier",
    "google": "BertPretrainer",
    **{f"model_garden/{folder}": ours for folder, ours in MODEL_GARDEN.items()},
}
CASED = {"google": True, "model_garden/saved_model": True, "huggingface/BertForMaskedLM": True}


@pytest.mark.parametrize("folder", EVERY)
def test_they_are_recognised(folder):
    checkpoint = read_checkpoint(GOLDEN / folder)
    assert detect_format(GOLDEN / folder) == folder.split("/")[0].removesuffix("_tf")
    assert checkpoint.architecture == EVERY[folder]
    assert type(our_bert.load_model(GOLDEN / folder)).__name__ == EVERY[folder]
    assert (checkpoint.vocabulary is not None) == (folder in CASED)
    assert checkpoint.lowercase == CASED.get(folder)


@pytest.mark.parametrize("place", ["model", "ram://casing/model"])
def test_a_saved_model_stores_the_casing(place):
    """Its variable decides, whatever the vocabulary looks like."""
    source = GOLDEN / "model_garden" / "saved_model"
    cased = "\n".join([*SPECIAL_TOKENS, *(f"W{number}" for number in range(20))]).encode()
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        file = path_of(place) / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes((source / name).read_bytes())
    (path_of(place) / "assets").mkdir(parents=True, exist_ok=True)
    (path_of(place) / "assets" / "vocab.txt").write_bytes(cased)
    assert kbs.Vocabulary.load(f"{place}/assets/vocab.txt").guess_lowercase() is False
    assert read_checkpoint(place).lowercase is True
    assert kbs.BertTokenizer.load(place).lowercase is True


def test_another_saved_model_stores_no_casing():
    module = tf.Module()
    module.cased = tf.Variable(True, name="cased")
    tf.saved_model.save(module, "model")
    Path("model/assets/vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, "A", "B"]))
    assert kbs.BertTokenizer.load("model").lowercase is False
    Path("model/variables/variables.index").write_bytes(b"")
    with pytest.raises(kbs.UserError, match="variables: is damaged"):
        kbs.BertTokenizer.load("model")
    shutil.rmtree("model/variables")
    assert kbs.BertTokenizer.load("model").lowercase is False


@pytest.mark.parametrize("class_name", HUGGING_FACE)
def test_hugging_face(class_name):
    expected = np.load(GOLDEN / "huggingface" / class_name / "expected.npz")
    found = our_bert.head_outputs(our_bert.load_model(GOLDEN / "huggingface" / class_name), expected)
    for number, output in enumerate(found):
        np.testing.assert_allclose(output, expected[f"arr_{number}"], rtol=0, atol=1e-5)
    assert f"arr_{len(found)}" not in expected


def test_hugging_face_in_tensorflow():
    """transformers 4 computed these in TensorFlow."""
    expected = np.load(GOLDEN / "huggingface_tf" / "pretraining" / "expected.npz")
    words, pairs = our_bert.head_outputs(our_bert.load_model(GOLDEN / "huggingface_tf" / "pretraining"), expected)
    np.testing.assert_allclose(words, expected["prediction_logits"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(pairs, expected["seq_relationship_logits"], rtol=0, atol=1e-5)
    expected = np.load(GOLDEN / "huggingface_tf" / "classification" / "expected.npz")
    (logits,) = our_bert.head_outputs(our_bert.load_model(GOLDEN / "huggingface_tf" / "classification"), expected)
    np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=1e-5)


def test_google():
    """Google's own modeling.py computed these, with its GELU."""
    expected = np.load(GOLDEN / "google" / "expected.npz")
    model = our_bert.load_model(GOLDEN / "google")
    theirs = {"token_ids": "input_ids", "segment_ids": "segment_ids", "padding_mask": "input_mask"}
    inputs = {name: expected[other].astype("int32") for name, other in theirs.items()}
    encoded = model.backbone(inputs)
    found = model({**inputs, "mask_positions": expected["masked_lm_positions"].astype("int32")})
    words = expected["masked_lm_logits"].reshape(found["masked_lm"].shape)
    np.testing.assert_allclose(encoded["sequence_output"], expected["sequence_output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoded["pooled_output"], expected["pooled_output"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["masked_lm"], words, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["next_sentence"], expected["next_sentence_logits"], rtol=0, atol=1e-5)
    assert read_checkpoint(GOLDEN / "google").step == 1


@pytest.mark.parametrize("folder", MODEL_GARDEN)
def test_model_garden(folder):
    expected = np.load(GOLDEN / "model_garden" / folder / "expected.npz")
    model = our_bert.load_model(GOLDEN / "model_garden" / folder)
    theirs = {"token_ids": "input_word_ids", "segment_ids": "input_type_ids", "padding_mask": "input_mask"}
    inputs = {name: expected[other].astype("int32") for name, other in theirs.items()}
    encoded = getattr(model, "backbone", model)(inputs)
    np.testing.assert_allclose(encoded["sequence_output"], expected["sequence_output"], rtol=0, atol=1e-5)
    if "next_sentence" not in expected:  # else the trained pooler is not the encoder's own
        np.testing.assert_allclose(encoded["pooled_output"], expected["pooled_output"], rtol=0, atol=1e-5)
    if "mlm_logits" in expected:
        found = model({**inputs, "mask_positions": expected["masked_lm_positions"].astype("int32")})
        words = found["masked_lm"] if isinstance(found, dict) else found
        np.testing.assert_allclose(words, expected["mlm_logits"], rtol=0, atol=1e-5)
    if "next_sentence" in expected:
        np.testing.assert_allclose(found["next_sentence"], expected["next_sentence"], rtol=0, atol=1e-5)


def same(one: kbs.BertPretrainer, other: kbs.BertPretrainer) -> bool:
    """Whether two checkpoints hold the same numbers, to the last bit."""
    return one.weights.keys() == other.weights.keys() and all(
        one.weights[name].tobytes() == other.weights[name].tobytes() for name in one.weights
    )


def shards(folder: Path) -> None:
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    files = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    where = {name: files[number % 2] for number, name in enumerate(tensors)}
    for file in files:
        safetensors.numpy.save_file({n: t for n, t in tensors.items() if where[n] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))


def renamed(change):
    def damage(folder: Path) -> None:
        tensors = safetensors.numpy.load_file(folder / "model.safetensors")
        safetensors.numpy.save_file({change(n): t for n, t in tensors.items()}, folder / "model.safetensors")

    return damage


def torch_file(name: str):
    def replace(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).rename(folder / "pytorch_model.bin")

    return replace


def tied_and_buffers(folder: Path) -> None:
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].copy()
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"].copy()
    tensors["bert.embeddings.position_ids"] = np.arange(12)[None]
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")


def old_norms(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


VARIANTS = {
    "in shards": shards,
    "gamma and beta": renamed(old_norms),
    "DataParallel": renamed(lambda name: f"module.{name}"),
    "torch.compile": renamed(lambda name: f"_orig_mod.{name}"),
    "torch, zip form": torch_file("new.bin"),
    "torch, legacy form": torch_file("old.bin"),
    "tied tensors stored twice": tied_and_buffers,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_hugging_face_in_other_shapes(variant, tmp_path):
    shutil.copytree(GOLDEN / "huggingface" / "BertForPreTraining", tmp_path / "model")
    VARIANTS[variant](tmp_path / "model")
    assert same(read_checkpoint(tmp_path / "model"), read_checkpoint(GOLDEN / "huggingface" / "BertForPreTraining"))


def test_hugging_face_with_and_without_the_prefix(tmp_path):
    shutil.copytree(GOLDEN / "huggingface" / "BertModel", tmp_path / "model")
    renamed(lambda name: f"bert.{name}")(tmp_path / "model")
    assert same(read_checkpoint(tmp_path / "model"), read_checkpoint(GOLDEN / "huggingface" / "BertModel"))


@pytest.mark.parametrize("class_name", HUGGING_FACE)
def test_what_is_written_for_hugging_face_is_what_it_writes_itself(class_name, tmp_path):
    """Tensor by tensor; `tests/parity` checks that transformers loads it."""
    source = GOLDEN / "huggingface" / class_name
    write_checkpoint(read_checkpoint(source), tmp_path / "out", "huggingface")
    theirs = safetensors.numpy.load_file(source / "model.safetensors")
    ours = safetensors.numpy.load_file(tmp_path / "out" / "model.safetensors")
    assert ours.keys() == theirs.keys()
    assert all(ours[name].tobytes() == theirs[name].tobytes() for name in theirs)
    described = json.loads((tmp_path / "out" / "config.json").read_text())
    original = json.loads((source / "config.json").read_text())
    for name in described.keys() & original.keys():
        assert described[name] == original[name], name
    assert described["architectures"] == [class_name]


def test_what_is_written_for_google_is_what_its_scripts_save(tmp_path):
    write_checkpoint(read_checkpoint(GOLDEN / "google"), tmp_path / "out", "google")
    theirs = tf.train.load_checkpoint(str(GOLDEN / "google" / "bert_model.ckpt"))
    ours = tf.train.load_checkpoint(str(tmp_path / "out" / "bert_model.ckpt"))
    names = {name for name in theirs.get_variable_to_shape_map() if not google.NO_WEIGHTS.search(name)}
    assert ours.get_variable_to_shape_map().keys() == names
    for name in names:
        np.testing.assert_array_equal(ours.get_tensor(name), theirs.get_tensor(name))
    config, original = (
        json.loads((folder / "bert_config.json").read_text()) for folder in (tmp_path / "out", GOLDEN / "google")
    )
    assert config == original
    assert (tmp_path / "out" / "vocab.txt").read_text() == (GOLDEN / "google" / "vocab.txt").read_text()


@pytest.mark.parametrize("folder", ["google", "huggingface/BertModel", "huggingface/BertForTokenClassification"])
def test_keras_hub_loads_what_is_written_for_it(folder, tmp_path):
    source = our_bert.load_model(GOLDEN / folder)
    backbone = getattr(source, "backbone", source)
    write_checkpoint(read_checkpoint(GOLDEN / folder), tmp_path / "preset", "keras_hub")
    theirs = keras_nlp.models.BertBackbone.from_preset(str(tmp_path / "preset"))
    # KerasHub has only the tanh GELU.
    tanh = kbs.BertBackbone(backbone.config.replace(activation="gelu_tanh"), pooler=backbone.pooler is not None)
    tanh.set_weights(backbone.get_weights())
    batch = our_bert.by_our_names(np.load(GOLDEN / "huggingface" / "BertModel" / "expected.npz"))
    expected = theirs(batch)
    for name, output in tanh(batch).items():
        shown = batch["padding_mask"][..., None] if name == "sequence_output" else 1  # its padding positions differ
        assert np.abs((np.asarray(output) - np.asarray(expected[name])) * shown).max() < 1e-5


def test_keras_hub_tokenizes_with_the_vocabulary_written_for_it(tmp_path):
    write_checkpoint(read_checkpoint(GOLDEN / "google"), tmp_path / "preset", "keras_hub")
    theirs = keras_nlp.models.BertTokenizer.from_preset(str(tmp_path / "preset"))
    texts = ["Bad cab, a Fé!", "ABAC zi"]
    assert [list(row) for row in theirs(texts)] == kbs.BertTokenizer.load(GOLDEN / "google").tokenize(texts).to_list()


@pytest.mark.parametrize(("limit", "noted"), [(200, True), (100, False)])
def test_keras_hubs_limit_of_a_word_is_noted(limit, noted, tmp_path):
    checkpoint = read_checkpoint(GOLDEN / "google")
    checkpoint.rules = dataclasses.replace(checkpoint.rules, max_word_length=limit)
    write_checkpoint(checkpoint, tmp_path / "preset", "keras_hub")
    notes = [note for note in checkpoint.notes if "become [UNK] in KerasHub" in note]
    assert len(notes) == noted
    theirs = keras_nlp.models.BertTokenizer.from_preset(str(tmp_path / "preset"))
    ours = kbs.BertTokenizer(checkpoint.vocabulary, **dataclasses.asdict(checkpoint.rules))
    word = "a" * 101
    assert (list(theirs([word])[0]) != ours.tokenize([word]).to_list()[0]) == noted


@pytest.mark.parametrize("task", [False, True], ids=["backbone", "task"])
def test_keras_hubs_own_presets_are_read(task, tmp_path):
    tokens = (GOLDEN / "google" / "vocab.txt").read_text().split()
    backbone = keras_nlp.models.BertBackbone(
        vocabulary_size=40,
        num_layers=3,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=24,
        dropout=0.2,
        max_sequence_length=9,
    )
    preprocessor = keras_nlp.models.BertTextClassifierPreprocessor(
        keras_nlp.models.BertTokenizer(vocabulary=tokens, lowercase=True), sequence_length=9
    )
    model = (
        keras_nlp.models.BertTextClassifier(backbone, num_classes=3, preprocessor=preprocessor) if task else backbone
    )
    model.save_to_preset(str(tmp_path / "preset"))
    checkpoint = read_checkpoint(tmp_path / "preset")
    ours = our_bert.load_model(tmp_path / "preset")
    batch = our_bert.by_our_names(np.load(GOLDEN / "huggingface" / "BertModel" / "expected.npz"))
    expected = backbone(batch)
    np.testing.assert_allclose(ours(batch)["pooled_output"], expected["pooled_output"], rtol=0, atol=1e-5)
    assert (checkpoint.config.num_layers, checkpoint.config.hidden_dropout) == (3, 0.2)
    if task:
        assert (tmp_path / "preset" / "task.json").exists()
        assert checkpoint.task is None
        assert kbs.Spec.load(tmp_path / "preset").task == "embed"
        assert checkpoint.lowercase is True
        assert checkpoint.vocabulary.tokens == tuple(tokens)
        assert "head" in checkpoint.notes[0]


def keras_hub_backbone(**arguments) -> keras.Model:
    sizes = {"vocabulary_size": 40, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "intermediate_dim": 24}
    return keras_nlp.models.BertBackbone(**sizes, max_sequence_length=9, **arguments)


def in_shards(backbone: keras.Model) -> None:
    backbone.save_to_preset("preset", max_shard_size=4e-6)
    assert len(list(Path("preset").glob("*.weights.h5"))) > 2


def with_old_group(backbone: keras.Model) -> None:
    """Keras 2.13 wrote this name."""
    backbone.save_to_preset("preset")
    with h5py.File("preset/model.weights.h5", "a") as file:
        file.move("layers", "_layer_checkpoint_dependencies")


@pytest.mark.parametrize("write", [in_shards, with_old_group])
def test_keras_hubs_presets_in_other_shapes(write):
    backbone = keras_hub_backbone()
    write(backbone)
    batch = our_bert.by_our_names(np.load(GOLDEN / "huggingface" / "BertModel" / "expected.npz"))
    found = kbs.BertBackbone.from_pretrained("preset")(batch)["pooled_output"]
    np.testing.assert_allclose(found, backbone(batch)["pooled_output"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_keras_hubs_presets_of_other_dtypes(dtype):
    backbone = keras_hub_backbone(dtype=dtype)
    backbone.save_to_preset("preset")
    stored = read_checkpoint("preset").weights
    expected = keras.ops.convert_to_numpy(backbone.token_embedding.embeddings).astype("float32")
    np.testing.assert_array_equal(stored["embeddings/token_embedding"], expected)


ROUND_TRIPS = [
    (folder, to)
    for folder in ("google", *(f"huggingface/{name}" for name in HUGGING_FACE))
    for to in ("huggingface", "google", "native")
    if to != "google" or not folder.endswith(("TokenClassification", "MultipleChoice"))
]


@pytest.mark.parametrize(("folder", "to"), ROUND_TRIPS)
def test_a_round_trip_changes_no_bit(folder, to, tmp_path):
    before = read_checkpoint(GOLDEN / folder)
    write_checkpoint(before, tmp_path / "there", to)
    there = read_checkpoint(tmp_path / "there")
    assert detect_format(tmp_path / "there") == to
    assert same(before, there)
    assert there.architecture == before.architecture
    assert (there.vocabulary, there.lowercase) == (before.vocabulary, before.lowercase)
    if to != "google":  # Google's config has only one GELU, and no labels
        assert there.config == before.config
        assert there.label_names == before.label_names


def test_a_round_trip_through_keras_hub_changes_no_bit_of_the_encoder(tmp_path):
    before = read_checkpoint(GOLDEN / "google")
    write_checkpoint(before, tmp_path / "there", "keras_hub")
    there = read_checkpoint(tmp_path / "there")
    assert all(there.weights[name].tobytes() == before.weights[name].tobytes() for name in there.weights)
    assert before.weights.keys() - there.weights.keys() == {n for n in before.weights if n.split("/")[0] in HEADS}
    assert any("masked_lm, next_sentence" in note for note in before.notes)
    assert (there.vocabulary, there.lowercase) == (before.vocabulary, before.lowercase)


HEADS = ("masked_lm", "next_sentence")


def test_a_run_of_ours_goes_to_hugging_face_with_its_labels(config, tokenizer, tmp_path):
    keras.utils.set_random_seed(0)
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=2)
    checkpoint = model.to_checkpoint(tokenizer, ("bad", "good"))
    write_checkpoint(checkpoint, tmp_path / "out", "huggingface")
    there = read_checkpoint(tmp_path / "out")
    assert same(checkpoint, there)
    assert there.label_names == ("bad", "good")
    assert (there.vocabulary, there.lowercase) == (tokenizer.vocabulary, tokenizer.lowercase)
    assert kbs.BertTokenizer.load(tmp_path / "out").lowercase == tokenizer.lowercase
