import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import answer
from keras_bert_scratch.tasks.classification import Classifier

TEXTS = [
    "The heron sleeps.",
    "",
    "Day 3: the otter crosses the river before dawn, and again, and again. " * 9,
    "北京 ½ ß",
]


@pytest.fixture(scope="module")
def classifier(config, tokenizer) -> Classifier:
    return Classifier(kbs.BertTextClassifier(kbs.BertBackbone(config), 3), tokenizer, ["no", "yes", "perhaps"], 32)


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    kbs.export_saved_model(classifier.model, classifier.tokenizer, path, classifier.label_names, 32)
    return path


def test_a_score_is_not_exported_as_a_class(config, tokenizer):
    with pytest.raises(kbs.UserError, match="gives a score"):
        kbs.export_saved_model(
            kbs.BertTextClassifier(kbs.BertBackbone(config), num_classes=1), tokenizer, "out", max_length=32
        )


def test_the_saved_model_answers_as_the_model_does(classifier, exported):
    for (label, scores), (expected_label, expected) in zip(
        answer(exported, TEXTS), classifier.answer(TEXTS), strict=True
    ):
        assert label == expected_label
        np.testing.assert_allclose(scores, list(expected.values()), atol=1e-6)


def test_one_text_or_many_make_no_difference(exported):
    together = answer(exported, TEXTS)
    for text, (label, scores) in zip(TEXTS, together, strict=True):
        alone = answer(exported, [text])[0]
        assert alone[0] == label
        np.testing.assert_allclose(alone[1], scores, atol=1e-5)


def test_a_new_process_needs_nothing_of_the_network(exported, tmp_path):
    """Only TensorFlow and tf-text are loaded, and the folder may lie anywhere."""
    shutil.copytree(exported, tmp_path / "moved")
    script = (
        "import sys, tensorflow as tf, tensorflow_text\n"
        "serve = tf.saved_model.load('moved').signatures['serving_default']\n"
        "print(serve(text=tf.constant(['The heron sleeps.']))['label'].numpy()[0].decode())\n"
        "assert not any(name.startswith('keras_bert_scratch') for name in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() in ("no", "yes", "perhaps")


def test_saved_model_cli_lists_the_string_signature(exported):
    cli = Path(sys.executable).parent / "saved_model_cli"
    shown = subprocess.run([cli, "show", "--all", "--dir", exported], capture_output=True, text=True, check=True).stdout
    signature = shown[shown.index("signature_def['serving_default']") :]
    inputs, outputs = signature[: signature.index("Method name")].split(
        "The given SavedModel SignatureDef contains the following output"
    )
    assert "inputs['text'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)" in inputs
    assert "outputs['label'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1)" in outputs
    assert "outputs['scores'] tensor_info:\n        dtype: DT_FLOAT\n        shape: (-1, 3)" in outputs


def test_classes_without_names_are_numbered(classifier):
    kbs.export_saved_model(classifier.model, classifier.tokenizer, "model", max_length=32)
    assert answer("model", ["text"])[0][0] in ("0", "1", "2")


def test_rows_longer_than_the_position_table_are_refused(classifier):
    with pytest.raises(kbs.UserError, match=r"max_length .* 128 tokens are more than the 64 positions"):
        kbs.export_saved_model(classifier.model, classifier.tokenizer, "model")


def test_names_must_fit_the_classes(classifier):
    with pytest.raises(kbs.UserError, match="2 names for 3 classes"):
        kbs.export_saved_model(classifier.model, classifier.tokenizer, "model", ["no", "yes"], 32)


def test_a_folder_in_use_is_kept(classifier):
    Path("model").mkdir()
    Path("model/thesis.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="model: exists already"):
        kbs.export_saved_model(classifier.model, classifier.tokenizer, "model")
    assert [file.name for file in Path("model").iterdir()] == ["thesis.txt"]


def test_what_is_no_saved_model_is_named(exported):
    with pytest.raises(kbs.UserError, match="missing: cannot be loaded"):
        answer("missing", ["text"])
    shutil.copytree(exported, "damaged")
    (Path("damaged") / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(kbs.UserError, match="damaged: cannot be loaded"):
        answer("damaged", ["text"])
