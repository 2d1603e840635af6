"""Exported models: strings in, the same answers out, in a process without the network's code."""

import collections
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from serving import every_task
from tensorflow.core.protobuf import saved_model_pb2

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.frozen_network import FrozenNetwork
from keras_bert_scratch.serving.saved_model import SavedModel

TEXTS = [
    "The heron sleeps.",
    "",
    "Day 3: the otter crosses the river before dawn, and again, and again. " * 9,
    "北京 ½ ß",
]
LABELS = ("no", "yes", "perhaps")
FLOAT = tf.float32.as_datatype_enum


def fine_tuned(config, tokenizer, columns=("text",), **changes) -> kbs.FineTuned:
    """A model with weights so far apart that the texts have different labels and confident scores."""
    keras.utils.set_random_seed(3)  # with it they differ; the seed of each test is set after module fixtures
    model = kbs.BertTextClassifier(kbs.BertBackbone(config.replace(initializer_range=1.0)), 3)
    return kbs.FineTuned(model, tokenizer, kbs.Spec("classification", columns, 32, LABELS, **changes))


@pytest.fixture(scope="module")
def tuned(config, tokenizer) -> kbs.FineTuned:
    return fine_tuned(config, tokenizer)


@pytest.fixture(scope="module")
def exported(tuned, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model"
    kbs.export_saved_model(tuned, path, warm_up=False)
    return path


def test_the_head_of_an_exported_network_computes_in_float32_in_every_model(config):
    model = kbs.BertTextClassifier(kbs.BertBackbone(config, dtype="mixed_bfloat16"), 3)
    token_ids = np.arange(5, 26, dtype="int32").reshape(3, 7)
    inputs = {"token_ids": token_ids, "segment_ids": 0 * token_ids, "padding_mask": 0 * token_ids + 1}
    found, expected = (np.asarray(network(inputs)) for network in (FrozenNetwork(model), model))
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert np.any(found != tf.cast(tf.cast(found, "bfloat16"), "float32"))


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
    with pytest.raises(kbs.UserError, match="row 2 has None, which is not a string in the column 'text'"):
        SavedModel(exported).predict({"text": ["a heron", None]})


def numbers_in_the_graph(path: Path) -> int:
    """The number of float values in the graph's constant arrays."""
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
    constants = [node.attr["value"].tensor for node in nodes if node.op == "Const"]
    sizes = [np.prod([size.size for size in tensor.tensor_shape.dim]) for tensor in constants if tensor.dtype == FLOAT]
    return sum(int(size) for size in sizes if size > 1)


def test_every_weight_is_written_once(exported, tuned):
    """As a constant, whatever the number of signatures; the token embedding is a variable."""
    ((_, shape),) = tf.train.list_variables(str(exported / "variables" / "variables"))[1:]
    embedding = tuned.model.backbone.embeddings.token_embedding
    assert tuple(shape) == tuple(embedding.shape)
    constants, rest = numbers_in_the_graph(exported), tuned.model.count_params() - int(np.prod(shape))
    assert rest <= constants < 1.02 * rest + 100


@pytest.mark.slow
def test_weights_can_all_be_variables(exported, tuned):
    """They are written once too, and the answers are the same."""
    kbs.export_saved_model(tuned, "saved", warm_up=False, weights="variables")
    stored = tf.train.list_variables("saved/variables/variables")[1:]
    assert sum(int(np.prod(shape)) for _, shape in stored) == tuned.model.count_params()
    assert numbers_in_the_graph(Path("saved")) < 100
    for ours, theirs in zip(*(SavedModel(path).predict({"text": TEXTS}) for path in ("saved", exported)), strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["scores"] == pytest.approx(theirs["scores"], abs=1e-5)
    with pytest.raises(kbs.UserError, match="`weights`: 'zip' is unknown; choose from constants, variables"):
        kbs.export_saved_model(tuned, "other", weights="zip")


@pytest.mark.slow
def test_weights_that_are_asked_for_step_by_step_are_written_once(config, tokenizer):
    """A translator's weights are variables, which all its signatures and all iterations of a loop share."""
    tuned = every_task.fine_tuned("translation", config, tokenizer)
    kbs.export_saved_model(tuned, "saved", warm_up=False)
    stored = tf.train.list_variables("saved/variables/variables")[1:]
    unused = tuned.model.backbone.pooler.count_params()
    assert sum(int(np.prod(shape)) for _, shape in stored) == tuned.model.count_params() - unused
    assert numbers_in_the_graph(Path("saved")) < 0.1 * tuned.model.count_params()


def test_products_are_fused_with_what_follows_and_no_weights_are_copied(config, tokenizer):
    """In the optimized graph that TensorFlow runs in place of the exported graph, as its own server does."""
    tuned = fine_tuned(config, tokenizer)
    for weight in tuned.model.weights:
        if len(weight.shape) == 1 and weight.dtype == "float32":  # TensorFlow would remove a bias of zeros
            weight.assign(np.linspace(0.5, 1.5, weight.shape[0]))
    kbs.export_saved_model(tuned, "saved", warm_up=False)
    metadata = tf.compat.v1.RunMetadata()
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        loaded = tf.compat.v1.saved_model.loader.load(session, ["serve"], "saved")
        signature = loaded.signature_def["serving_default"]
        session.run(
            signature.outputs["scores"].name,
            {signature.inputs["text"].name: TEXTS},
            tf.compat.v1.RunOptions(output_partition_graphs=True),
            metadata,
        )
    nodes = [node for graph in metadata.partition_graphs for node in graph.node]
    products = [node for node in nodes if node.op.endswith("MatMul")]
    fused = collections.Counter(tuple(node.attr["fused_ops"].list.s) for node in products)
    # Per layer: query, key and value as one, their output, two of the feed-forward; then last query, pooler and head.
    layers = config.num_layers
    gelu = {(b"BiasAdd", b"GeluExact"): layers, (b"BiasAdd",): 3 * layers + 2, (b"BiasAdd", b"Tanh"): 1}
    assert fused == gelu
    constants = {node.name for node in nodes if node.op == "Const" and node.attr["dtype"].type == FLOAT}
    assert not [node.name for node in nodes if node.op in ("ConcatV2", "Cast") and constants & set(node.input)]
    assert [node.op for node in nodes].count("VarHandleOp") == 1  # the token embedding, which is looked up


def test_short_texts_are_not_padded_to_the_longest(tuned, monkeypatch):
    """The signature gets one more output: the length that the network sees."""
    kind = type(tuned.task)
    decode = kind.decode

    def decode_with_length(self, spec, outputs, features):
        rows, length = tf.unstack(tf.shape(features.inputs["token_ids"]))
        return {**decode(self, spec, outputs, features), "length": tf.fill([rows], length)}

    monkeypatch.setattr(kind, "decode", decode_with_length)
    monkeypatch.setattr(kind, "answer", lambda self, spec, row: row)
    kbs.export_saved_model(tuned, "model", warm_up=False)
    model = SavedModel("model")
    short, long = (model.predict({"text": [text]})[0]["length"] for text in ("heron", TEXTS[2]))
    assert short <= 8
    assert long == 32


@pytest.mark.slow
def test_a_new_process_needs_nothing_of_the_network(exported, tuned, tmp_path):
    """Only TensorFlow and tf-text are loaded, and the folder may be moved."""
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
    assert outputs == {
        "label": (tf.string, (None,)),
        "scores": (tf.float32, (None, 3)),
        "token_count": (tf.int32, (None,)),
        "truncated": (tf.bool, (None,)),
    }
    kbs.export_saved_model(fine_tuned(config, tokenizer, ("text", "text_pair")), "pairs")
    model = SavedModel("pairs")
    assert set(model.columns) == {"text", "text_pair"}
    with pytest.raises(kbs.UserError, match="reads 'text' and 'text_pair', not 'text';"):
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


@pytest.mark.parametrize("token_ids", [[2, -1, 3], [2, 9999, 3], [2] * 65], ids=["below 0", "too high", "too many"])
def test_tokens_that_cannot_be_are_refused(exported, token_ids):
    ids = tf.constant([token_ids])
    serve = tf.saved_model.load(str(exported)).signatures["serve_ids"]
    with pytest.raises(tf.errors.InvalidArgumentError):
        serve(token_ids=ids, segment_ids=0 * ids, padding_mask=tf.ones_like(ids))


def test_a_folder_in_use_is_kept(tuned):
    Path("model").mkdir()
    Path("model/thesis.txt").write_text("years of work")
    with pytest.raises(kbs.UserError, match="model: exists already"):
        kbs.export_saved_model(tuned, "model", warm_up=False)
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
