"""Files in an exported folder for servers and people: versions, warm-up, batching, vocabulary, the card."""

import json
import re
import shutil
from pathlib import Path

import pytest
import tensorflow as tf
from commands.calls import keras_bert, refused
from fast_and_slow import slow_but
from google.protobuf import text_format
from serving.every_task import TASKS, fine_tuned
from tasks.conftest import tuned as fine_tuned_run
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

import keras_bert_scratch as kbs
from keras_bert_scratch.serving import warm_up
from keras_bert_scratch.serving.export import export_saved_model
from keras_bert_scratch.serving.model_card import model_card
from keras_bert_scratch.serving.signatures import SERVE_IDS
from keras_bert_scratch.serving.versions import version_folder, versions_of, write_models_config

LENGTHS = (8, 16, 32)
MODELS = ["pairs", "ner with a CRF", "qa", "choice", "fill-mask"]


@pytest.fixture(scope="module")
def run(small, tokenizer, documents, tmp_path_factory, eager_functions) -> Path:
    path, texts = tmp_path_factory.mktemp("run") / "run", [sentence for document in documents for sentence in document]
    data = {"text": texts[:8], "label": ["a", "b"] * 4}
    with eager_functions():
        return fine_tuned_run(small, tokenizer, data, path, data).path


@pytest.fixture(scope="module", params=slow_but(["pairs"], MODELS))
def exported(request, config, tokenizer, tmp_path_factory) -> tuple[kbs.FineTuned, Path]:
    tuned, path = fine_tuned(request.param, config, tokenizer), tmp_path_factory.mktemp("exported") / "model"
    export_saved_model(tuned, path, LENGTHS)
    return tuned, path


def test_a_server_warms_up_with_each_signature_at_each_length(exported):
    """The graph answers the requests; token ids or token counts show their lengths."""
    _, path = exported
    signatures = tf.saved_model.load(str(path)).signatures
    lengths = {name: [] for name in signatures}
    for record in tf.data.TFRecordDataset(str(path / warm_up.FILE)):
        asked = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        name = asked.model_spec.signature_name
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in asked.inputs.items()}
        outputs = signatures[name](**inputs)
        if name == SERVE_IDS:
            lengths[name].append(inputs["token_ids"].shape[-1])
        elif "token_count" in outputs:
            lengths[name].append(outputs["token_count"].numpy()[0])
        else:  # TensorFlow Serving's own methods return no token count
            lengths[name].append(LENGTHS[len(lengths[name])])
    for name, found in lengths.items():
        # Text requests have as many tokens as just fill a row; each text of a fill-mask fits.
        assert [min(length for length in LENGTHS if length >= size) for size in found] == list(LENGTHS), name


def test_the_card_describes_every_input_and_output(exported):
    tuned, path = exported
    card = (path / "README.md").read_text()
    for name, signature in tf.saved_model.load(str(path)).signatures.items():
        section = re.split(rf"### {name}\n", card)[1].split("\n#")[0]
        told = dict(re.findall(r"\| (?:in|out): (\w+) \| (.*?) \|", section))
        named = {**signature.structured_input_signature[1], **signature.structured_outputs}
        assert told == {key: tensor.dtype.name for key, tensor in named.items()}
        assert not re.search(r"\| out: .*\|  \|", section)
    for fact in (tuned.digest, "32 tokens", *tuned.spec.labels):
        assert fact in card


def test_the_card_of_a_run_that_told_little(config, tokenizer):
    """For example a pretraining run, whose model embeds; and a label that would break a table."""
    labels = ("a|b", "c")
    model = kbs.BertTextClassifier(kbs.BertBackbone(config), 2, label_names=labels)
    tuned = kbs.FineTuned(model, tokenizer, kbs.Spec("classification", ("text",), 32, labels, row_lengths=(8, 32)))
    start = {"command": ["keras-bert", "pretrain"]}
    run = {"settings": {"seed": 3}, "results": {}, "starts": [start], "started": "then", "ended": "later"}
    card = model_card(tuned, {}, run, [])
    assert "Command: `keras-bert pretrain`. Started then, ended later.\n\nseed: `3`.\n" in card
    assert r"| Labels | a\|b, c |" in card


def test_the_vocabulary_goes_along(exported):
    tuned, path = exported
    assert kbs.Vocabulary.load(path / "assets/vocab.txt").tokens == tuned.tokenizer.vocabulary.tokens


@pytest.mark.parametrize("lengths", [(2,), (33,), (0, 8)])
def test_lengths_that_cannot_be_are_named(config, tokenizer, lengths):
    with pytest.raises(kbs.UserError, match=rf"`row_lengths`: has {lengths[0]}; the model's rows have from 3 to 32"):
        export_saved_model(fine_tuned("regression", config, tokenizer), "model", lengths)
    assert not Path("model").exists()


def test_the_lengths_are_told(exported):
    _, path = exported
    assert kbs.Spec.load(path).row_lengths == LENGTHS
    assert kbs.Spec.load(path).to_dict() == json.loads((path / "task.json").read_text())


@pytest.mark.slow
def test_versions_are_counted_on(run):
    for name, version in (("sentiment", "next"), ("sentiment", "7"), ("sentiment", "next"), ("topics", "3")):
        options = ("--version", version, "--row-lengths", "8", "--no-warm-up")
        result = keras_bert("export", str(run), "--out", f"models/{name}", *options)
        assert result.exit_code == 0, result.output
    assert versions_of(Path("models/sentiment")) == [1, 7, 8]
    refused("export", run, "--out", "models/sentiment", "--version", "7", saying="models/sentiment/7: exists already")
    out = "models/sentiment/1"  # servers would load it, and not its versions
    refused("export", run, "--out", out, "--version", "next", saying=f"--out: {out} is itself a SavedModel; move it to")
    refused("export", run, "--out", "models/a", "--version", "0", saying="--version: must be a number from 1, or next")
    refused("export", run, "--out", "a", "--row-lengths", "8;9", saying="--row-lengths: '8;9' is not a list of lengths")
    read = text_format.Parse(Path("models/models.config").read_text(), model_server_config_pb2.ModelServerConfig())
    assert [(model.name, model.base_path) for model in read.model_config_list.config] == [
        ("sentiment", "/models/sentiment"),
        ("topics", "/models/topics"),
    ]
    card = Path("models/sentiment/7/README.md").read_text()
    assert "| accuracy | " in card
    assert json.loads((run / "run.json").read_text())["settings"]["examples"] in card


@pytest.mark.parametrize("version", ["next", "3"])
def test_a_saved_model_is_not_a_folder_of_versions(version):
    """Servers would load it, and not its versions."""
    Path("m").mkdir()
    Path("m/saved_model.pb").touch()
    with pytest.raises(kbs.UserError, match="`out`: m is itself a SavedModel; move it to m/1 first, or choose another"):
        version_folder(Path("m"), version)


def test_models_without_versions_are_not_listed():
    Path("models/plain/variables").mkdir(parents=True)
    write_models_config(Path("models/sentiment"))
    assert "plain" not in Path("models/models.config").read_text()


EDITED = {
    "a comment": lambda text: f"# mine\n{text}",
    "a policy": lambda text: text.replace('"tensorflow"', '"tensorflow"\n    model_version_policy { all {} }'),
    "an entry left out": lambda text: "model_config_list {\n}\n",
    "not a config": lambda text: "?",
}


def test_models_config_is_written_again_for_a_new_model():
    for name in ("a", "b", "a"):
        Path(f"models/{name}/1").mkdir(parents=True, exist_ok=True)
        assert write_models_config(Path(f"models/{name}")) == "models/models.config: written"
    shutil.rmtree("models/b")
    assert write_models_config(Path("models/a")) == "models/models.config: written"
    assert re.findall('name: "(.)"', Path("models/models.config").read_text()) == ["a"]


@pytest.mark.parametrize(("inside", "base"), [("models/sentiment", "."), ("models/sentiment/1", "..")])
def test_models_config_is_beside_the_model_also_if_that_is_the_current_folder(inside, base, tmp_path, monkeypatch):
    Path("models/sentiment/1").mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert write_models_config(Path(base)) == f"{tmp_path / 'models/models.config'}: written"
    assert re.findall('name: "(.*)"', (tmp_path / "models/models.config").read_text()) == ["sentiment"]
    assert [entry.name for entry in (tmp_path / "models/sentiment").iterdir()] == ["1"]


@pytest.mark.parametrize("name", EDITED)
def test_models_config_that_was_edited_is_left_as_it_is(name):
    file = Path("models/models.config")
    Path("models/a/1").mkdir(parents=True)
    write_models_config(Path("models/a"))
    file.write_text(edited := EDITED[name](file.read_text()))
    Path("models/b/1").mkdir(parents=True)
    line = 'config { name: "b" base_path: "/models/b" model_platform: "tensorflow" }'
    said = "models/models.config: left as it is, because it was edited"
    assert write_models_config(Path("models/b")) == f"{said}; add to its model_config_list: {line}"
    assert file.read_text() == edited
    file.write_text(edited := edited + 'model_config_list {\n  config {\n    name: "b"\n  }\n}\n')
    assert write_models_config(Path("models/b")) == said
    assert file.read_text() == edited


def test_there_are_models_of_every_task():
    """`TASKS`, whose models other tests export, has every task."""
    from keras_bert_scratch.tasks.registry import TASKS as KNOWN

    assert {row[0] for row in TASKS.values()} == set(KNOWN) - {"pair-classification"}
