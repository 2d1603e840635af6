"""TensorFlow Model Garden's checkpoints and SavedModels (TF-Hub's form): read only.

Variables are found by their full names in the checkpoint's object graph: these are the same in all the ways in which
the Model Garden has stored its encoders. Its "gelu" is the approximation by tanh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints import google
from keras_bert_scratch.checkpoints.architectures import model_shapes, pretraining_architecture
from keras_bert_scratch.checkpoints.bert_config import from_bert_config
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint, check_no_extra_tensors, select_tensors
from keras_bert_scratch.checkpoints.config_fields import MODEL_GARDEN_CONFIG
from keras_bert_scratch.checkpoints.google import CONFIG_FILE, checkpoint_prefix, read_variables
from keras_bert_scratch.checkpoints.names import renamed, templates
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.text.saved_model import LOWERCASE, OBJECT_GRAPH
from keras_bert_scratch.text.word_rules import WordRules

SAVED_MODEL_FILE = "saved_model.pb"
SAVED_VARIABLES = Path("variables") / "variables"

ACTIVATIONS = {
    "gelu": "gelu_tanh",
    "linear": "linear",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

# Ours: theirs.
ENCODER = templates(
    {
        "embeddings/token_embedding": "word_embeddings/embeddings",
        "embeddings/segment_embedding": "type_embeddings/embeddings",
        "embeddings/position_embedding": "position_embedding/embeddings",
        "embeddings/layer_norm/gamma": "embeddings/layer_norm/gamma",
        "embeddings/layer_norm/beta": "embeddings/layer_norm/beta",
        "pooler/dense/kernel": "pooler_transform/kernel",
        "pooler/dense/bias": "pooler_transform/bias",
        "masked_lm/transform/kernel": "bert/cls/predictions/transform/dense/kernel",
        "masked_lm/transform/bias": "bert/cls/predictions/transform/dense/bias",
        "masked_lm/layer_norm/gamma": "bert/cls/predictions/transform/LayerNorm/gamma",
        "masked_lm/layer_norm/beta": "bert/cls/predictions/transform/LayerNorm/beta",
        "masked_lm/bias": "bert/cls/predictions/output_bias/bias",
    },
    {
        "attention/query/kernel": "self_attention/query/kernel",
        "attention/query/bias": "self_attention/query/bias",
        "attention/key/kernel": "self_attention/key/kernel",
        "attention/key/bias": "self_attention/key/bias",
        "attention/value/kernel": "self_attention/value/kernel",
        "attention/value/bias": "self_attention/value/bias",
        "attention/output/kernel": "self_attention/attention_output/kernel",
        "attention/output/bias": "self_attention/attention_output/bias",
        "attention_layer_norm/gamma": "self_attention_layer_norm/gamma",
        "attention_layer_norm/beta": "self_attention_layer_norm/beta",
        "feed_forward/intermediate/kernel": "intermediate/kernel",
        "feed_forward/intermediate/bias": "intermediate/bias",
        "feed_forward/output/kernel": "output/kernel",
        "feed_forward/output/bias": "output/bias",
        "feed_forward_layer_norm/gamma": "output_layer_norm/gamma",
        "feed_forward_layer_norm/beta": "output_layer_norm/beta",
    },
    "transformer/layer_{}/",
)
# The next-sentence head and the classifier have a pooler of their own; the encoder's is then not trained.
NEXT_SENTENCE = {
    "pooler/dense/kernel": "bert/next_sentence/pooler_dense/kernel",
    "pooler/dense/bias": "bert/next_sentence/pooler_dense/bias",
    "next_sentence/dense/kernel": "bert/next_sentence/logits/kernel",
    "next_sentence/dense/bias": "bert/next_sentence/logits/bias",
}
CLASSIFIER = {
    "logits/kernel": "sentence_prediction/logits/kernel",
    "logits/bias": "sentence_prediction/logits/bias",
}
CLASSIFIER_POOLER = {
    "pooler/dense/kernel": "sentence_prediction/pooler_dense/kernel",
    "pooler/dense/bias": "sentence_prediction/pooler_dense/bias",
}
ENCODER_NAME = re.compile(r"^bert_encoder(_v2)?(_\d+)?/")
NO_WEIGHTS = re.compile(r"\.OPTIMIZER_SLOT|^(.*/)?optimizer/|^(save_counter|global_step|_CHECKPOINTABLE_OBJECT_GRAPH)")


class NoEncoderError(UserError):
    """The SavedModel appears to be complete, but is not an encoder of the Model Garden."""


def files(path: AnyPath) -> list[str]:
    """The names of the files that `read` reads in the folder `path`."""
    if not (path / SAVED_MODEL_FILE).exists():
        return google.files(path)
    held = (path / SAVED_VARIABLES.parent.name).iterdir() if (path / SAVED_VARIABLES.parent.name).exists() else ()
    return [SAVED_MODEL_FILE, CONFIG_FILE, *(f"{SAVED_VARIABLES.parent.name}/{entry.name}" for entry in held)]


def read(path: Path) -> Checkpoint:
    """Reads a folder with a checkpoint and its `bert_config.json`, or a SavedModel."""
    saved_model = (path / SAVED_MODEL_FILE).exists()
    prefix = path / SAVED_VARIABLES if saved_model else checkpoint_prefix(path)
    held = _by_full_name(prefix)
    lowercase = bool(held.pop(LOWERCASE)) if LOWERCASE in held else None
    notes: list[str] = []
    if (path / CONFIG_FILE).exists():
        description = atomic.read_json(path / CONFIG_FILE)
        notes += MODEL_GARDEN_CONFIG.check(path / CONFIG_FILE, description)
        config = from_bert_config(description, ACTIVATIONS, path / CONFIG_FILE)
    else:
        config = _config_by_shapes(prefix, held)

    architecture, names = _architecture(held)
    num_classes = held[names["logits/bias"]].size if "logits/bias" in names else 0
    shapes = model_shapes(config, architecture, names["pooler/dense/bias"] in held, num_classes)
    weights = select_tensors(
        prefix, shapes, lambda name: renamed(name, names), held, lambda name, tensor: _joined(tensor, shapes[name])
    )
    wanted = {renamed(name, names) for name in shapes}
    unused = {name for name in held if name.startswith("pooler_transform/")} - wanted
    if unused:
        notes.append("the encoder's own pooler (pooler_transform) is left out: no head was trained with it")
    check_no_extra_tensors(prefix, held, wanted | unused)
    rules = None if lowercase is None else WordRules(lowercase)
    return Checkpoint(architecture, config, weights, rules=rules, notes=notes)


def _architecture(held: Mapping[str, np.ndarray]) -> tuple[str, dict[str, str]]:
    """The architecture that these tensors belong to, and a mapping of our names to theirs."""
    next_sentence = NEXT_SENTENCE["next_sentence/dense/bias"] in held
    names = {**ENCODER, **(NEXT_SENTENCE if next_sentence else {})}
    if CLASSIFIER["logits/bias"] in held:
        own_pooler = CLASSIFIER_POOLER["pooler/dense/bias"] in held
        return "BertTextClassifier", {**names, **CLASSIFIER, **(CLASSIFIER_POOLER if own_pooler else {})}
    return pretraining_architecture(ENCODER["masked_lm/bias"] in held, next_sentence), names


def _joined(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Merges the heads of attention's tensors, which are stored as a separate axis; the memory layout is the same."""
    return tensor.reshape(shape) if tensor.ndim > len(shape) and tensor.size == np.prod(shape) else tensor


def _by_full_name(prefix: Path) -> dict[str, np.ndarray]:
    """The weights by the full names of their variables, without the encoder's name in front."""
    if not prefix.parent.exists():
        raise NoEncoderError(
            f"{prefix.parent}: does not exist, so this is not a BERT of the Model Garden; give a folder that has it"
        )
    by_key = read_variables(prefix)
    if OBJECT_GRAPH not in by_key:
        raise NoEncoderError(f"{prefix}: was not written by TensorFlow 2, so this is not a BERT of the Model Garden")
    graph = TrackableObjectGraph.FromString(by_key[OBJECT_GRAPH])
    held = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.checkpoint_key in by_key and not NO_WEIGHTS.search(attribute.checkpoint_key):
                held[ENCODER_NAME.sub("", attribute.full_name)] = by_key[attribute.checkpoint_key]
    return held


def _config_by_shapes(prefix: Path, held: dict[str, np.ndarray]) -> BertConfig:
    """The config from the shapes of the tensors, as a SavedModel has no config file."""
    try:
        vocab_size, hidden_size = held["word_embeddings/embeddings"].shape
        layers = sum(bool(re.fullmatch(r"transformer/layer_\d+/intermediate/bias", name)) for name in held)
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_layers=layers,
            num_heads=held["transformer/layer_0/self_attention/query/bias"].shape[0],
            intermediate_size=held["transformer/layer_0/intermediate/bias"].size,
            max_position_embeddings=held["position_embedding/embeddings"].shape[0],
            num_segments=held["type_embeddings/embeddings"].shape[0],
            activation="gelu_tanh",
        )
    except KeyError as error:
        raise NoEncoderError(
            f"{prefix}: holds no {error}, so this is not a BERT of the Model Garden; give a folder of one"
        ) from None
