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
from keras_bert_scratch.checkpoints.bert_config import from_bert_config, read_json, to_bert_config
from keras_bert_scratch.checkpoints.checkpoint import (
    Checkpoint,
    model_shapes,
    pretraining_architecture,
    refuse_others,
    take_tensors,
)
from keras_bert_scratch.checkpoints.names import GOOGLES_NAMES, Rules, renamed
from keras_bert_scratch.errors import UserError

CONFIG_FILE = "bert_config.json"
CHECKPOINT_NAME = "bert_model.ckpt"
ACTIVATIONS = {"gelu": "gelu_tanh"}

CLASSIFIER: Rules = ((r"^logits/kernel$", "output_weights"), (r"^logits/bias$", "output_bias"))
SQUAD: Rules = ((r"^logits/kernel$", "cls/squad/output_weights"), (r"^logits/bias$", "cls/squad/output_bias"))
# What a training keeps beside the weights.
NO_WEIGHTS = re.compile(r"(/adam_[mv]|^global_step|(^|/)(good_steps|loss_scale))$")


def read(path: Path) -> Checkpoint:
    """Reads a folder with one checkpoint in it."""
    config = from_bert_config(read_json(path / CONFIG_FILE), ACTIVATIONS, path / CONFIG_FILE)
    prefix = checkpoint_prefix(path)
    held = read_variables(prefix)
    architecture, head = _architecture(held)
    num_classes = held[renamed("logits/bias", head)].size if head else 0
    rules = (*GOOGLES_NAMES, *head)
    shapes = model_shapes(config, architecture, "bert/pooler/dense/kernel" in held, num_classes)
    weights = take_tensors(prefix, shapes, lambda name: renamed(name, rules), held, _as_ours)
    refuse_others(
        prefix, (name for name in held if not NO_WEIGHTS.search(name)), (renamed(name, rules) for name in shapes)
    )
    step = int(held["global_step"]) if "global_step" in held else None
    return Checkpoint(architecture, config, weights, step=step)


def _architecture(held: Mapping[str, np.ndarray]) -> tuple[str, Rules]:
    """What the head is, and its names."""
    if "output_bias" in held:
        return "BertTextClassifier", CLASSIFIER
    if "cls/squad/output_bias" in held:
        return "BertQuestionAnswerer", SQUAD
    return pretraining_architecture(
        masked_lm="cls/predictions/output_bias" in held, next_sentence="cls/seq_relationship/output_bias" in held
    ), ()


def _as_ours(name: str, tensor: np.ndarray) -> np.ndarray:
    """Heads are stored one row per class, all else as here."""
    return tensor.T if name in ("next_sentence/dense/kernel", "logits/kernel") else tensor


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes the folder that Google's scripts start from."""
    heads = {"BertTextClassifier": CLASSIFIER, "BertQuestionAnswerer": SQUAD}.get(checkpoint.architecture, ())
    if "logits/kernel" in checkpoint.weights and not heads:
        raise UserError(
            f"--to google: its scripts know no head like that of a {checkpoint.architecture}; choose another"
        )
    if checkpoint.config.activation == "gelu":
        checkpoint.notes.append("Google's code approximates GELU by tanh: outputs will differ in the third decimal")
    if checkpoint.label_names:
        checkpoint.notes.append(f"the labels' names are left out: {', '.join(checkpoint.label_names)}")
    rules = (*GOOGLES_NAMES, *heads)
    tensors = {renamed(name, rules): _as_ours(name, tensor) for name, tensor in checkpoint.weights.items()}
    names = sorted(tensors)
    tf.raw_ops.SaveV2(
        prefix=str(path / CHECKPOINT_NAME),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tensors[name] for name in names],
    )
    config = to_bert_config(checkpoint.config) | {"hidden_act": "gelu"}
    del config["layer_norm_eps"]  # fixed at 1e-12 in Google's code
    atomic.write_json(path / CONFIG_FILE, config)
    if checkpoint.vocabulary is not None:
        checkpoint.vocabulary.save(path / "vocab.txt")


def checkpoint_prefix(path: Path) -> Path:
    """The one checkpoint in the folder `path`."""
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
