"""Make the golden files for Hugging Face's TensorFlow checkpoints (``config.json`` + ``tf_model.h5``).

It makes two tiny networks with random weights, lets ``save_pretrained`` of the last ``transformers`` that still had
TensorFlow classes write them, and records what those networks answer:

* ``huggingface_tf/pretraining``: ``TFBertForPreTraining``;
* ``huggingface_tf/classification``: ``TFBertForSequenceClassification`` with three labels.

Each directory holds ``config.json``, ``tf_model.h5`` and ``expected.npz``. The last has the inputs (``input_ids``,
``token_type_ids``, ``attention_mask``) and the outputs in float32: ``last_hidden_state``, and
``prediction_logits`` with ``seq_relationship_logits``, or ``logits``.

The writer needs an environment of its own, with Python 3.11::

    python3.11 -m venv writer
    writer/bin/pip install "tensorflow==2.19.*" "tf-keras==2.19.*" "transformers==4.57.*"
    writer/bin/python tests/golden/make_huggingface_tf.py
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from transformers import BertConfig, TFBertForPreTraining, TFBertForSequenceClassification

OUTPUT = Path(__file__).parent / "huggingface_tf"
SEED = 0
SCALE = 0.3
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 12,
    "type_vocab_size": 2,
    "hidden_act": "gelu",
    "initializer_range": SCALE,
}


def randomize(model, rng):
    """Give every weight a value that shows in the outputs: biases are not zero, LayerNorm scales are not one."""
    model.set_weights(
        [
            (rng.normal(0.0, SCALE, weight.shape) + weight.name.endswith("gamma:0")).astype("float32")
            for weight in model.weights
        ]
    )


def example_inputs(rng):
    """Two rows of eight tokens; the second one ends in padding."""
    input_ids = rng.integers(5, SIZES["vocab_size"], (2, 8))
    input_ids[:, 0] = 2
    token_type_ids = np.array([[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0, 0]])
    attention_mask = np.array([[1, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 0, 0]])
    return {
        "input_ids": (input_ids * attention_mask).astype("int32"),
        "token_type_ids": token_type_ids.astype("int32"),
        "attention_mask": attention_mask.astype("int32"),
    }


def write(model_class, directory, outputs, **options):
    """Save one network and its answers."""
    rng = np.random.default_rng(SEED)
    model = model_class(BertConfig(**SIZES, **options))
    inputs = example_inputs(rng)
    model(inputs)  # the weights come into being
    randomize(model, rng)
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory, safe_serialization=False)

    answer = model(inputs, output_hidden_states=True, training=False)
    expected = {"last_hidden_state": answer.hidden_states[-1], **{name: answer[name] for name in outputs}}
    np.savez_compressed(directory / "expected.npz", **inputs, **{k: v.numpy() for k, v in expected.items()})


def main():
    """Write both directories."""
    write(TFBertForPreTraining, OUTPUT / "pretraining", ("prediction_logits", "seq_relationship_logits"))
    write(TFBertForSequenceClassification, OUTPUT / "classification", ("logits",), num_labels=3)


if __name__ == "__main__":
    main()
