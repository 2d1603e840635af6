"""Hugging Face folders: `config.json`, `model.safetensors`, `vocab.txt` or `tokenizer.json`.

Weights are read from `model.safetensors`, whole or in shards, else from `pytorch_model.bin` (by a reader that runs no
code), else from `tf_model.h5`. Written are safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints import huggingface_tf
from keras_bert_scratch.checkpoints.bert_config import from_bert_config, read_json, to_bert_config
from keras_bert_scratch.checkpoints.checkpoint import (
    Checkpoint,
    model_shapes,
    pretraining_architecture,
    refuse_others,
    take_tensors,
)
from keras_bert_scratch.checkpoints.names import GOOGLES_NAMES, Rules, renamed
from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors
from keras_bert_scratch.errors import UserError

CONFIG_FILE = "config.json"
SAFETENSORS_FILE = "model.safetensors"
TORCH_FILE = "pytorch_model.bin"
TENSORFLOW_FILE = "tf_model.h5"

# Theirs and ours. A causal language model has the tensors of a masked one.
CLASSES = {
    "BertModel": "BertBackbone",
    "BertForPreTraining": "BertPretrainer",
    "BertForMaskedLM": "BertMaskedLM",
    "BertForNextSentencePrediction": "BertNextSentencePredictor",
    "BertForSequenceClassification": "BertTextClassifier",
    "BertForTokenClassification": "BertTokenClassifier",
    "BertForQuestionAnswering": "BertQuestionAnswerer",
    "BertForMultipleChoice": "BertMultipleChoice",
}
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
# What their config can ask for that is no BERT as published, and the value that it has in one.
PUBLISHED = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
}

NAMES: Rules = (
    *GOOGLES_NAMES,
    (r"^cls/predictions/output_bias$", "cls/predictions/bias"),
    (r"^cls/seq_relationship/output_weights$", "cls/seq_relationship/kernel"),
    (r"^cls/seq_relationship/output_bias$", "cls/seq_relationship/bias"),
    (r"_embeddings$", r"\g<0>/weight"),
    (r"/layer_(\d+)/", r"/layer/\1/"),
    (r"/(kernel|gamma)$", "/weight"),
    (r"/beta$", "/bias"),
    (r"/", "."),
)
QUESTION_HEAD: Rules = ((r"^logits/", "qa_outputs/"),)
CLASSIFIER_HEAD: Rules = ((r"^logits/", "classifier/"),)

POOLER = "bert.pooler.dense.bias"
# Stored beside the weights by some versions: a table of numbers 0, 1, 2, and the tied output matrix once more.
BUFFERS = {"bert.embeddings.position_ids", "bert.embeddings.token_type_ids"}
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def read(path: Path) -> Checkpoint:
    """Reads a folder that `transformers` or a program like it saved."""
    description = read_json(path / CONFIG_FILE)
    if description.get("model_type", "bert") != "bert":
        raise UserError(f"{path / CONFIG_FILE}: is a model of type {description['model_type']!r}, not a BERT")
    for name, value in PUBLISHED.items():
        if description.get(name) not in (value, None):
            raise UserError(f"{path / CONFIG_FILE}: {name} is {description[name]!r}; BERT as published has {value!r}")
    config = from_bert_config(description, ACTIVATIONS, path / CONFIG_FILE)
    origin, held = _read_tensors(path)
    _drop_tied(origin, held)

    architecture = _architecture(description, held)
    num_classes = next((held[name].size for name in ("classifier.bias", "qa_outputs.bias") if name in held), 0)
    rules = _rules(architecture)
    shapes = model_shapes(config, architecture, POOLER in held, num_classes)
    weights = take_tensors(origin, shapes, lambda name: renamed(name, rules), held, _transposed)
    refuse_others(origin, held, (renamed(name, rules) for name in shapes))
    labels = _label_names(description, num_classes) if architecture.endswith("Classifier") else ()
    return Checkpoint(architecture, config, weights, label_names=labels)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes a folder that `transformers` loads, heads included."""
    rules = _rules(checkpoint.architecture)
    tensors = {renamed(name, rules): _transposed(name, tensor) for name, tensor in checkpoint.weights.items()}
    if checkpoint.architecture == "BertBackbone":
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    config = checkpoint.config
    description: dict[str, Any] = {
        "model_type": "bert",
        "architectures": [next(theirs for theirs, ours in CLASSES.items() if ours == checkpoint.architecture)],
        **to_bert_config(config),
        "hidden_act": "gelu" if config.activation == "gelu" else "gelu_new",
        "pad_token_id": 0,
    }
    if checkpoint.num_classes and checkpoint.architecture.endswith("Classifier"):
        names = checkpoint.label_names or [f"LABEL_{number}" for number in range(checkpoint.num_classes)]
        description["id2label"] = {str(number): name for number, name in enumerate(names)}
        description["label2id"] = {name: number for number, name in enumerate(names)}
    if checkpoint.vocabulary is not None:
        description["pad_token_id"] = checkpoint.vocabulary.pad_id
        checkpoint.vocabulary.save(path / "vocab.txt")
        atomic.write_json(
            path / "tokenizer_config.json",
            {
                "tokenizer_class": "BertTokenizer",
                "do_lower_case": bool(checkpoint.lowercase),
                "model_max_length": config.max_position_embeddings,
            },
        )
    atomic.write_json(path / CONFIG_FILE, description)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    safetensors.numpy.save_file(contiguous, path / SAFETENSORS_FILE, metadata={"format": "pt"})


def _rules(architecture: str) -> Rules:
    head = QUESTION_HEAD if architecture == "BertQuestionAnswerer" else CLASSIFIER_HEAD
    return (*head, *NAMES)


def _transposed(name: str, tensor: np.ndarray) -> np.ndarray:
    """torch keeps the matrix of a dense layer with one row per output."""
    return tensor.T if name.endswith("/kernel") else tensor


def _architecture(description: Mapping[str, Any], held: Mapping[str, np.ndarray]) -> str:
    """What the tensors make up; where two heads have the same tensors, the config says which it is."""
    if "qa_outputs.bias" in held:
        return "BertQuestionAnswerer"
    if "classifier.bias" not in held:
        return pretraining_architecture(
            masked_lm="cls.predictions.bias" in held, next_sentence="cls.seq_relationship.bias" in held
        )
    named = {CLASSES.get(theirs.removeprefix("TF")) for theirs in description.get("architectures") or []}
    if "BertMultipleChoice" in named and held["classifier.bias"].size == 1:
        return "BertMultipleChoice"
    return "BertTokenClassifier" if "BertTokenClassifier" in named or POOLER not in held else "BertTextClassifier"


def _label_names(description: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    """The classes' names, `LABEL_0` and so on where they have none; nothing for a single score."""
    names = description.get("id2label") or {}
    return tuple(str(names.get(str(n), f"LABEL_{n}")) for n in range(num_classes)) if num_classes > 1 else ()


def _read_tensors(path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The file that was read, and its tensors by torch's names with the prefix `bert.`."""
    for name in (SAFETENSORS_FILE, TORCH_FILE):
        index = path / f"{name}.index.json"
        if (path / name).exists():
            origin, files = path / name, [path / name]
        elif index.exists():
            weight_map = read_json(index).get("weight_map", {})
            origin, files = index, [path / Path(file).name for file in sorted(set(weight_map.values()))]
        else:
            continue
        held: dict[str, np.ndarray] = {}
        for file in files:
            held |= _read_safetensors(file) if name == SAFETENSORS_FILE else read_torch_tensors(file)
        return origin, {_todays_name(name): tensor for name, tensor in held.items()}
    if (path / TENSORFLOW_FILE).exists():
        return path / TENSORFLOW_FILE, huggingface_tf.read_tensors(path / TENSORFLOW_FILE)
    raise UserError(f"{path}: holds no {SAFETENSORS_FILE}, {TORCH_FILE} or {TENSORFLOW_FILE}; copy the weights there")


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(file)
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise UserError(f"{file}: is missing, damaged or cut short ({error}); copy it again") from None


def _todays_name(name: str) -> str:
    """As `transformers` names it now: with the encoder's prefix, `weight` and `bias` in a LayerNorm."""
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _drop_tied(origin: Path, held: dict[str, np.ndarray]) -> None:
    """Removes what is stored twice; two different tables for words and their scores are no BERT."""
    for buffer in BUFFERS:
        held.pop(buffer, None)
    for copy, original in TIED.items():
        tensor = held.pop(copy, None)
        if tensor is not None and not np.array_equal(tensor, held.setdefault(original, tensor)):
            raise UserError(f"{origin}: {copy} differs from {original}; in BERT they are the same")
