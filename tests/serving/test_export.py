"""Exported models: strings in, the same answers out, in a process that knows nothing of the network."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.saved_model import SavedModel

TEXTS = [
    "The heron sleeps.",
    "",
    "Day 3: the otter crosses the river before dawn, and again, and again. " * 9,
    "北京 ½ ß",
]
LABELS = ("no", "yes", "perhaps")


def fine_tuned(config, tokenizer, columns=("text",), **changes) -> kbs.FineTuned:
    """With weights so far apart that the texts have different labels and sure scores."""
    keras.utils.set_random_seed(3)  # one that makes them different; what seeds each test comes after a module's fixture
    model = kbs.BertTextClassifier(kbs.BertBackbone(config.replace(initializer_range=1.0)), 3)
    return kbs.FineTuned(model, tokenizer, kbs.Spec("classification", columns, 32, LABELS, **changes))


@pytest.fixture(scope="module")
def tuned(config, tokenizer) -> kbs.FineTuned:
    return fine_tuned(config, tokenizer)


@pytest.fixture(scope="module")
def exported(tuned, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    kbs.export_saved_model(tuned, path)
    return path


def test_one_text_or_many_make_no_difference(exported, tuned):
    model = SavedModel(exported)
    together = model.predict({"text": TEXTS})
    assert len({row["label"] for row in together}) > 1
    for text, row, ours in zip(TEXTS, together, tuned.predict({"text": TEXTS}), strict=True):
        alone = model.predict({"text": [text]})[0]
        assert alone["label"] == row["label"] == ours["label"]
        assert alone["scores"] == pytest.approx(row["scores"], abs=1e-5)
        assert ours["scores"] == pytest.approx(row["scores"], abs=1e-5)


def test_what_is_no_text_is_not_answered(exported):
    with pytest.raises(kbs.UserError, match="row 2 has None, which is no string in the column 'text'"):
        SavedModel(exported).predict({"text": ["a heron", None]})


def test_every_weight_is_written_once(exported, tuned):
    names = tf.train.list_variables(str(exported / "variables" / "variables"))
    stored = sum(int(np.prod(shape)) for name, shape in names if "_CHECKPOINTABLE" not in name and len(shape) > 0)
    assert tuned.model.count_params() <= stored < 1.02 * tuned.model.count_params() + 100


def test_short_texts_are_not_padded_to_the_longest(tuned, monkeypatch):
    """The length that the network sees, as one more output of the signature."""
    kind, seen = type(tuned.task), {}
    features, decode = kind.features, kind.decode

    def features_seen(self, *arguments):
        found = features(self, *arguments)
        seen["token_ids"] = found.inputs["token_ids"]
        return found

    def decode_with_length(self, *arguments):
        rows, length = tf.unstack(tf.shape(seen["token_ids"]))
        return {**decode(self, *arguments), "length": tf.fill([rows], length)}

    monkeypatch.setattr(kind, "features", features_seen)
    monkeypatch.setattr(kind, "decode", decode_with_length)
    monkeypatch.setattr(kind, "answer", lambda self, spec, row: row)
    kbs.export_saved_model(tuned, "model")
    model = SavedModel("model")
    short, long = (model.predict({"text": [text]})[0]["length"] for text in ("heron", TEXTS[2]))
    assert short <= 8
    assert long == 32


def test_a_new_process_needs_nothing_of_the_network(exported, tuned, tmp_path):
    """Only TensorFlow and tf-text are loaded, and the folder may lie anywhere."""
    shutil.copytree(exported, tmp_path / "moved")
    script = (
        "import json, sys, tensorflow as tf, tensorflow_text\n"
        "serve = tf.saved_model.load('moved').signatures['serving_default']\n"
        f"answers = serve(text=tf.constant({TEXTS!r}))\n"
        "print(json.dumps([answers['label'].numpy().astype(str).tolist(), answers['scores'].numpy().tolist()]))\n"
        "assert not any(name.startswith('keras_bert_scratch') for name in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    labels, scores = json.loads(run.stdout)
    ours = tuned.predict({"text": TEXTS})
    assert labels == [row["label"] for row in ours]
    np.testing.assert_allclose(scores, [list(row["scores"].values()) for row in ours], atol=1e-5)


def test_the_signature_takes_the_columns_of_the_training(exported, config, tokenizer):
    serve = tf.saved_model.load(str(exported)).signatures["serving_default"]
    (inputs,) = serve.structured_input_signature[1:]
    assert {name: (spec.dtype, tuple(spec.shape)) for name, spec in inputs.items()} == {"text": (tf.string, (None,))}
    outputs = {name: (spec.dtype, tuple(spec.shape)) for name, spec in serve.structured_outputs.items()}
    assert outputs == {"label": (tf.string, (None,)), "scores": (tf.float32, (None, 3))}
    kbs.export_saved_model(fine_tuned(config, tokenizer, ("text", "text_pair")), "pairs")
    model = SavedModel("pairs")
    assert set(model.columns) == {"text", "text_pair"}
    with pytest.raises(kbs.UserError, match="reads 'text' and 'text_pair', which it was trained on, not 'text';"):
        model.predict({"text": ["a"]})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda model, tokenizer: (kbs.BertTokenClassifier(model.backbone, 3), tokenizer), "BertTextClassifier, not a"),
        (lambda model, tokenizer: (kbs.BertTextClassifier(model.backbone, 2), tokenizer), "num_classes 2"),
        (
            lambda model, tokenizer: (
                model,
                kbs.BertTokenizer(kbs.Vocabulary((*tokenizer.vocabulary.tokens, "one", "more"))),
            ),
            "has 152 tokens, but the model's token embedding",
        ),
    ],
    ids=["token classifier", "other classes", "other vocabulary"],
)
def test_what_does_not_belong_together_is_refused(config, tokenizer, wrong, named):
    model, other = wrong(kbs.BertTextClassifier(kbs.BertBackbone(config), 3), tokenizer)
    with pytest.raises(kbs.UserError, match=named):
        kbs.FineTuned(model, other, kbs.Spec("classification", ("text",), 32, LABELS))


def test_rows_longer_than_the_position_table_are_refused(tuned, tokenizer):
    with pytest.raises(kbs.UserError, match="128 tokens are more than the 64 positions"):
        kbs.FineTuned(tuned.model, tokenizer, kbs.Spec("classification", ("text",), 128, LABELS))


def test_a_folder_in_use_is_kept(tuned):
    Path("model").mkdir()
    Path("model/thesis.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="model: exists already"):
        kbs.export_saved_model(tuned, "model")
    assert [file.name for file in Path("model").iterdir()] == ["thesis.txt"]


def test_what_is_no_saved_model_is_named(exported):
    with pytest.raises(kbs.UserError, match="missing: cannot be loaded"):
        SavedModel("missing")
    shutil.copytree(exported, "damaged")
    (Path("damaged") / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(kbs.UserError, match="damaged: cannot be loaded"):
        SavedModel("damaged")


def test_a_saved_model_whose_weights_are_cut_off_is_named(exported):
    shutil.copytree(exported, "damaged")
    [weights] = Path("damaged/variables").glob("*.data-*")
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(kbs.UserError, match="damaged: cannot be loaded"):
        SavedModel("damaged")
