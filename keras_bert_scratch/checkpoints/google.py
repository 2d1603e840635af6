"""Google's TF1 checkpoints: `bert_config.json`, `vocab.txt`, `bert_model.ckpt.index` and its data.

Names and fields are those of https://github.com/google-research/bert: modeling.py, run_pretraining.py,
run_classifier.py and run_squad.py. Its "gelu" is the approximation by tanh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES, model_shapes, pretraining_architecture
from keras_bert_scratch.checkpoints.bert_config import from_bert_config, to_bert_config
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint, check_no_extra_tensors, select_tensors
from keras_bert_scratch.checkpoints.config_fields import GOOGLE_CONFIG
from keras_bert_scratch.checkpoints.names import google_names, renamed
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.text.word_rules import GOOGLES_MAX_WORD_LENGTH

CONFIG_FILE = "bert_config.json"
CHECKPOINT_NAME = "bert_model.ckpt"
ACTIVATIONS = {"gelu": "gelu_tanh", "relu": "relu", "tanh": "tanh", "linear": "linear"}
LAYER_NORM_EPSILON = 1e-12  # fixed in Google's code

# Variables that training stores in addition to the weights.
NO_WEIGHTS = re.compile(r"(/adam_[mv]|^global_step|(^|/)(good_steps|loss_scale))$")


def files(path: AnyPath) -> list[str]:
    """The names of the files that `read` reads in the folder `path`, for each checkpoint in it."""
    names = [entry.name for entry in path.iterdir()]
    return [CONFIG_FILE, *(name for name in names if name.endswith(".index") or ".data-" in name)]


def read(path: Path) -> Checkpoint:
    """Reads a folder with one checkpoint in it."""
    description = atomic.read_json(path / CONFIG_FILE)
    notes = GOOGLE_CONFIG.check(path / CONFIG_FILE, description)
    config = from_bert_config(description, ACTIVATIONS, path / CONFIG_FILE)
    prefix = checkpoint_prefix(path)
    held = read_variables(prefix)
    architecture = _architecture(held)
    names = google_names(architecture)
    num_classes = held[names["logits/bias"]].size if "logits/bias" in names else 0
    shapes = model_shapes(config, architecture, names["pooler/dense/kernel"] in held, num_classes)
    weights = select_tensors(prefix, shapes, lambda name: renamed(name, names), held, _transpose_heads)
    check_no_extra_tensors(
        prefix, (name for name in held if not NO_WEIGHTS.search(name)), (renamed(name, names) for name in shapes)
    )
    step = int(held["global_step"]) if "global_step" in held else None
    return Checkpoint(architecture, config, weights, step=step, notes=notes)


def _architecture(held: Mapping[str, np.ndarray]) -> str:
    """The architecture that these tensors belong to."""
    for name, architecture in ARCHITECTURES.items():
        if architecture.google_prefix and google_names(name)["logits/bias"] in held:
            return name
    return pretraining_architecture(
        masked_lm="cls/predictions/output_bias" in held, next_sentence="cls/seq_relationship/output_bias" in held
    )


def _transpose_heads(name: str, tensor: np.ndarray) -> np.ndarray:
    """Transposes the heads, which are stored with one row per class; all else is stored as here."""
    return tensor.T if name in ("next_sentence/dense/kernel", "logits/kernel") else tensor


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes the folder that Google's scripts start from."""
    config = checkpoint.config
    if ARCHITECTURES[checkpoint.architecture].decodes:
        raise UserError(f"`to='google'`: its scripts do not support a {checkpoint.architecture}; choose another format")
    if "logits/kernel" in checkpoint.weights and not ARCHITECTURES[checkpoint.architecture].google_prefix:
        raise UserError(
            f"`to='google'`: its scripts do not support the head of a {checkpoint.architecture}; choose another format"
        )
    activation = "gelu" if config.activation == "gelu" else _google_activation(config.activation)
    checkpoint.notes += _google_differences(checkpoint)
    names = google_names(checkpoint.architecture)
    tensors = {renamed(name, names): _transpose_heads(name, tensor) for name, tensor in checkpoint.weights.items()}
    written = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(path / CHECKPOINT_NAME),
        tensor_names=written,
        shape_and_slices=[""] * len(written),
        tensors=[tensors[name] for name in written],
    )
    description = to_bert_config(config) | {"hidden_act": activation}
    del description["layer_norm_eps"]
    atomic.write_json(path / CONFIG_FILE, description)
    if checkpoint.vocabulary is not None:
        checkpoint.vocabulary.save(path / "vocab.txt")


def _google_activation(activation: str) -> str:
    theirs = next((theirs for theirs, ours in ACTIVATIONS.items() if ours == activation), None)
    if theirs is None:
        raise UserError(
            f"`to='google'`: its scripts do not support activation {activation!r}, only {', '.join(ACTIVATIONS)}; "
            f"choose another format"
        )
    return theirs


def _google_differences(checkpoint: Checkpoint) -> list[str]:
    """What will be different in Google's scripts, one sentence each."""
    config, rules, notes = checkpoint.config, checkpoint.rules, []
    if config.activation == "gelu":
        notes.append("Google's code approximates GELU by tanh: outputs will differ in the third decimal")
    if config.layer_norm_epsilon != LAYER_NORM_EPSILON:
        notes.append(
            f"Google's code has a fixed LayerNorm epsilon of {LAYER_NORM_EPSILON}, not {config.layer_norm_epsilon}: "
            f"outputs will differ"
        )
    if config.classifier_dropout not in (None, config.hidden_dropout):
        notes.append("classifier_dropout is left out: Google's scripts always use 0.1")
    if checkpoint.label_names:
        notes.append(f"the label names are left out: {', '.join(checkpoint.label_names)}")
    if checkpoint.problem_type not in (None, "single_label_classification"):
        notes.append(f"problem_type is left out: {checkpoint.problem_type}")
    if rules and (lost := {name: v for name, v in rules.differences().items() if name != "max_word_length"}):
        settings = ", ".join(f"{name}={value}" for name, value in lost.items())
        notes.append(f"Google's tokenizer does not support {settings}: texts will be tokenized differently")
    if rules and rules.max_word_length != GOOGLES_MAX_WORD_LENGTH:
        notes.append(
            f"words of more than {GOOGLES_MAX_WORD_LENGTH} characters become [UNK] in Google's code; here the limit "
            f"is {rules.max_word_length}"
        )
    return notes


def checkpoint_prefix(path: Path) -> Path:
    """The path of the only checkpoint in the folder `path`, without a suffix."""
    prefixes = sorted(file.with_suffix("") for file in path.glob("*.index"))
    if len(prefixes) != 1:
        found = ", ".join(prefix.name for prefix in prefixes) or "none"
        raise UserError(f"{path}: should hold one checkpoint, {CHECKPOINT_NAME}.index, but holds {found}; keep one")
    return prefixes[0]


def read_variables(prefix: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint by their names in the file."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{prefix}: is damaged or lacks its data file ({reason}); copy it again") from None
