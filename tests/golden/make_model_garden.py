"""Make the golden files for the checkpoints of the TensorFlow Model Garden (``tf-models-official``).

Its own classes build tiny networks with random weights, and its own ways of saving write them:

* ``model_garden/encoder_checkpoint``: ``BertEncoder``, the functional network, under the name ``encoder``, as the
  Model Garden's converter writes the published checkpoints;
* ``model_garden/encoder_v2_checkpoint``: ``BertEncoderV2``, the layer that took its place, under ``encoder``;
* ``model_garden/pretrainer_checkpoint``: ``BertPretrainerV2`` over ``BertEncoderV2``, in the midst of training, with
  all that the Model Garden's trainer saves: model, parts of the model, optimizer slots, step;
* ``model_garden/saved_model``: what ``export_tfhub_lib`` makes for TensorFlow Hub, with its ``mlm`` part. To keep it
  small, its graphs are taken out of ``saved_model.pb``, so that it can no longer be run; variables, assets and
  Keras's metadata are as they were written.

A checkpoint directory holds ``bert_config.json``, ``bert_model.ckpt.*`` and ``expected.npz``; the SavedModel has
``expected.npz`` beside its own files. ``expected.npz`` has the inputs (``input_word_ids``, ``input_mask``,
``input_type_ids`` and, where there are heads, ``masked_lm_positions``) and the outputs in float32:
``sequence_output``, ``pooled_output`` and, where there are heads, ``mlm_logits`` and ``next_sentence``.

The writer needs an environment of its own, with Python 3.11; the second line leaves out what the text models never
touch::

    python3.11 -m venv writer
    writer/bin/pip install "tensorflow==2.19.*" "tf-keras==2.19.*" "tensorflow-text==2.19.*" \
        gin-config pyyaml scipy six
    writer/bin/pip install --no-deps "tf-models-official==2.19.*"
    writer/bin/python tests/golden/make_model_garden.py
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from string import ascii_lowercase

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tf_keras
from official.legacy.bert.configs import BertConfig
from official.modeling import tf_utils
from official.nlp.modeling import layers, models, networks
from official.nlp.optimization import AdamWeightDecay
from official.nlp.tools import export_tfhub_lib
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

OUTPUT = Path(__file__).parent / "model_garden"
SEED = 0
SCALE = 0.3
CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 16,
    "initializer_range": SCALE,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 40,
}


def build_encoder(encoder_class, **options):
    """The network that CONFIG describes."""
    return encoder_class(
        vocab_size=CONFIG["vocab_size"],
        hidden_size=CONFIG["hidden_size"],
        num_layers=CONFIG["num_hidden_layers"],
        num_attention_heads=CONFIG["num_attention_heads"],
        max_sequence_length=CONFIG["max_position_embeddings"],
        type_vocab_size=CONFIG["type_vocab_size"],
        inner_dim=CONFIG["intermediate_size"],
        inner_activation=tf_utils.get_activation(CONFIG["hidden_act"]),
        output_dropout=CONFIG["hidden_dropout_prob"],
        attention_dropout=CONFIG["attention_probs_dropout_prob"],
        **options,
    )


def build_pretrainer(encoder, *heads):
    """The encoder with a masked language model on it, and with these heads."""
    activation = tf_utils.get_activation(CONFIG["hidden_act"])
    return models.BertPretrainerV2(encoder, mlm_activation=activation, classification_heads=list(heads))


def randomize(model, rng):
    """Give every weight a value that shows in the outputs: biases are not zero, LayerNorm scales are not one."""
    for variable in model.variables:
        variable.assign(rng.normal(0.0, SCALE, variable.shape) + variable.name.endswith("gamma:0"))


def encoder_inputs(rng):
    """Two rows of eight tokens; the second one ends in padding."""
    word_ids = rng.integers(5, CONFIG["vocab_size"], (2, 8))
    word_ids[:, 0] = 2
    mask = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]])
    type_ids = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0]])
    return {
        "input_word_ids": (word_ids * mask).astype("int32"),
        "input_mask": mask.astype("int32"),
        "input_type_ids": type_ids.astype("int32"),
    }


def pretrainer_inputs(rng):
    """The same, with two positions to predict in each row."""
    return {**encoder_inputs(rng), "masked_lm_positions": np.array([[1, 6], [3, 2]], "int32")}


def write_expected(directory, inputs, outputs):
    """Keep the inputs, and those outputs that a reader can be held to."""
    names = ("sequence_output", "pooled_output", "mlm_logits", "next_sentence")
    np.savez_compressed(
        directory / "expected.npz", **inputs, **{name: outputs[name].numpy() for name in names if name in outputs}
    )


def write_checkpoint(directory, inputs, model, items):
    """Save these items, and what the model answers."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    tf.train.Checkpoint(**items).write(str(directory / "bert_model.ckpt"))
    write_expected(directory, inputs, model(inputs, training=False))


def write_encoder(directory, encoder_class, **options):
    """An encoder and nothing else."""
    rng = np.random.default_rng(SEED)
    encoder = build_encoder(encoder_class, **options)
    inputs = encoder_inputs(rng)
    encoder(inputs)  # the weights come into being
    randomize(encoder, rng)
    write_checkpoint(directory, inputs, encoder, {"encoder": encoder})


def write_pretrainer(directory):
    """A pretraining run after one step, at a learning rate that leaves the weights as they are."""
    rng = np.random.default_rng(SEED)
    head = layers.ClassificationHead(
        inner_dim=CONFIG["hidden_size"], num_classes=2, dropout_rate=0.1, name="next_sentence"
    )
    pretrainer = build_pretrainer(build_encoder(networks.BertEncoderV2), head)
    inputs = pretrainer_inputs(rng)
    pretrainer(inputs)
    randomize(pretrainer, rng)
    optimizer = AdamWeightDecay(learning_rate=0.0, weight_decay_rate=0.01)
    optimizer.apply_gradients(
        [(tf.constant(rng.normal(0.0, SCALE, v.shape), tf.float32), v) for v in pretrainer.trainable_variables]
    )
    step = tf.Variable(1, dtype=tf.int64, trainable=False, name="global_step")
    items = {"global_step": step, "model": pretrainer, "optimizer": optimizer, **pretrainer.checkpoint_items}
    write_checkpoint(directory, inputs, pretrainer, items)


def write_saved_model(directory):
    """The form of TensorFlow Hub: the encoder, and the same with a masked language model under ``mlm``."""
    rng = np.random.default_rng(SEED)
    pretrainer = build_pretrainer(build_encoder(networks.BertEncoder, dict_outputs=True))
    inputs = pretrainer_inputs(rng)
    pretrainer(inputs)
    randomize(pretrainer, rng)
    shutil.rmtree(directory, ignore_errors=True)
    tf_keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as scratch:
        vocabulary = Path(scratch) / "vocab.txt"
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ascii_lowercase, *(f"##{x}" for x in "abcdefghi")]
        vocabulary.write_text("\n".join(words) + "\n")
        checkpoint = tf.train.Checkpoint(**pretrainer.checkpoint_items).save(str(Path(scratch) / "ckpt"))
        export_tfhub_lib.export_model(
            str(directory),
            bert_config=BertConfig.from_dict(CONFIG),
            model_checkpoint_path=checkpoint,
            with_mlm=True,
            vocab_file=str(vocabulary),
            do_lower_case=True,
        )
    write_expected(directory, inputs, tf.saved_model.load(str(directory)).mlm(inputs))
    drop_graphs(directory)


def drop_graphs(directory):
    """Take what can be run out of the SavedModel: more than a megabyte that a reader of weights never opens."""
    path = directory / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    for meta_graph in saved_model.meta_graphs:
        for field in ("graph_def", "saver_def", "collection_def", "signature_def", "object_graph_def"):
            meta_graph.ClearField(field)
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    (directory / "fingerprint.pb").unlink()


def main():
    """Write all directories."""
    write_encoder(OUTPUT / "encoder_checkpoint", networks.BertEncoder, dict_outputs=True)
    write_encoder(OUTPUT / "encoder_v2_checkpoint", networks.BertEncoderV2)
    write_pretrainer(OUTPUT / "pretrainer_checkpoint")
    write_saved_model(OUTPUT / "saved_model")


if __name__ == "__main__":
    main()
