"""Make the golden files for Google's original BERT checkpoints (``bert_config.json``, ``bert_model.ckpt.*``).

The network and its two pretraining heads come from ``bert-tensorflow``, Google's own code packed for PyPI, and its
optimizer trains them for one step, so that the file holds what fine-tuned checkpoints hold: the weights under their
original names, Adam's slots (``adam_m``, ``adam_v``) and ``global_step``.

``google`` then has ``bert_config.json``, ``vocab.txt``, ``bert_model.ckpt.*`` and ``expected.npz``. The last has the
inputs (``input_ids``, ``input_mask``, ``segment_ids``, ``masked_lm_positions``) and the outputs in float32:
``sequence_output``, ``pooled_output``, and the log-probabilities, as that code returns them, of the masked words
(``masked_lm_log_probs``, one row for each position, example after example) and of the next sentence
(``next_sentence_log_probs``); and the logits behind them, ``masked_lm_logits`` and ``next_sentence_logits``.

The code wants ``tensorflow.contrib``, which is gone. It asks it for one function, layer normalization, so this script
puts one in its place that makes the same variables and computes the same.

The writer needs an environment of its own, with Python 3.11::

    python3.11 -m venv writer
    writer/bin/pip install "tensorflow==2.21.*" six
    writer/bin/pip install --no-deps "bert-tensorflow==1.0.4"
    writer/bin/python tests/golden/make_google.py
"""

import json
import os
import sys
from pathlib import Path
from string import ascii_lowercase
from types import ModuleType

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow.compat.v1 as tf

OUTPUT = Path(__file__).parent / "google"
SEED = 0
SCALE = 0.3
CONFIG = {
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 16,
    "initializer_range": SCALE,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "type_vocab_size": 2,
    "vocab_size": 40,
}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *ascii_lowercase, *(f"##{x}" for x in "abcdefghi")]


def layer_norm(inputs, begin_norm_axis, begin_params_axis, scope):
    """Normalize over the last axis, as ``tf.contrib.layers.layer_norm`` did."""
    assert begin_norm_axis == begin_params_axis == -1
    with tf.variable_scope(scope, "LayerNorm"):
        beta = tf.get_variable("beta", [inputs.shape[-1]], initializer=tf.zeros_initializer())
        gamma = tf.get_variable("gamma", [inputs.shape[-1]], initializer=tf.ones_initializer())
        mean, variance = tf.nn.moments(inputs, [-1], keepdims=True)
        return tf.nn.batch_normalization(inputs, mean, variance, beta, gamma, 1e-12)


def dense(inputs, units, activation=None, kernel_initializer=None, name=None):
    """A dense layer, as ``tf.layers.dense`` made it: Keras 3 no longer lets that one run."""
    with tf.variable_scope(name, "dense"):
        kernel = tf.get_variable("kernel", [inputs.shape[-1], units], initializer=kernel_initializer)
        bias = tf.get_variable("bias", [units], initializer=tf.zeros_initializer())
        outputs = tf.nn.bias_add(tf.matmul(inputs, kernel), bias)
        return outputs if activation is None else activation(outputs)


def import_bert():
    """Import Google's modules over stand-ins for what TensorFlow no longer has."""
    contrib = ModuleType("tensorflow.contrib")
    contrib.layers = ModuleType("tensorflow.contrib.layers")
    contrib.layers.layer_norm = layer_norm
    sys.modules.update({"tensorflow.contrib": contrib, "tensorflow.contrib.layers": contrib.layers})
    tf.layers = ModuleType("tensorflow.layers")
    tf.layers.dense = dense
    from bert import modeling, optimization, run_pretraining

    return modeling, optimization, run_pretraining


def example_inputs(rng):
    """Two rows of eight tokens, the second one with padding, and two positions to predict in each."""
    mask = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]])
    input_ids = rng.integers(5, CONFIG["vocab_size"], (2, 8))
    input_ids[:, 0] = VOCABULARY.index("[CLS]")
    return {
        "input_ids": (input_ids * mask).astype("int32"),
        "input_mask": mask.astype("int32"),
        "segment_ids": np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0]], "int32"),
        "masked_lm_positions": np.array([[1, 6], [3, 2]], "int32"),
    }


def main():
    """Build, train for one step, save, and record the answers."""
    modeling, optimization, run_pretraining = import_bert()
    rng = np.random.default_rng(SEED)
    inputs = example_inputs(rng)
    config = modeling.BertConfig.from_dict(CONFIG)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (OUTPUT / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")

    with tf.Graph().as_default(), tf.Session() as session:
        model = modeling.BertModel(
            config,
            is_training=True,
            input_ids=tf.constant(inputs["input_ids"]),
            input_mask=tf.constant(inputs["input_mask"]),
            token_type_ids=tf.constant(inputs["segment_ids"]),
        )
        masked_lm_loss, _, masked_lm_log_probs = run_pretraining.get_masked_lm_output(
            config,
            model.get_sequence_output(),
            model.get_embedding_table(),
            tf.constant(inputs["masked_lm_positions"]),
            tf.constant([[7, 8], [9, 10]]),
            tf.ones([2, 2]),
        )
        next_sentence_loss, _, next_sentence_log_probs = run_pretraining.get_next_sentence_output(
            config, model.get_pooled_output(), tf.constant([0, 1])
        )
        weights = tf.trainable_variables()
        tf.train.get_or_create_global_step()
        train = optimization.create_optimizer(masked_lm_loss + next_sentence_loss, 1e-3, 10, 0, use_tpu=False)
        session.run(tf.global_variables_initializer())
        for weight in weights:
            weight.load(rng.normal(0.0, SCALE, weight.shape) + weight.name.endswith("gamma:0"), session)
        session.run(train)

        tf.train.Saver().save(
            session, str(OUTPUT / "bert_model.ckpt"), write_meta_graph=False, latest_filename="checkpoint"
        )
        (OUTPUT / "checkpoint").unlink()
        expected = {
            "sequence_output": model.get_sequence_output(),
            "pooled_output": model.get_pooled_output(),
            "masked_lm_log_probs": masked_lm_log_probs,
            "next_sentence_log_probs": next_sentence_log_probs,
            "masked_lm_logits": masked_lm_log_probs.op.inputs[0],
            "next_sentence_logits": next_sentence_log_probs.op.inputs[0],
        }
        np.savez_compressed(OUTPUT / "expected.npz", **inputs, **session.run(expected))


if __name__ == "__main__":
    main()
