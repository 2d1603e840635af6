"""TensorFlow Model Garden's checkpoints and SavedModels (TF-Hub's form): read only.

Variables are found by the full names that the object graph beside them holds: those are the same in every way that the
Model Garden has stored its encoders. Its "gelu" is the approximation by tanh.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from keras_bert_scratch.checkpoints.bert_config import from_bert_config, read_json
from keras_bert_scratch.checkpoints.checkpoint import (
    Checkpoint,
    model_shapes,
    pretraining_architecture,
    refuse_others,
    take_tensors,
)
from keras_bert_scratch.checkpoints.google import ACTIVATIONS, CONFIG_FILE, checkpoint_prefix, read_variables
from keras_bert_scratch.checkpoints.names import Rules, renamed
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
SAVED_VARIABLES = Path("variables") / "variables"
LOWERCASE = "Variable"  # the full name of a SavedModel's variable `do_lower_case`

ENCODER: Rules = (
    (r"^embeddings/token_embedding$", "word_embeddings/embeddings"),
    (r"^embeddings/segment_embedding$", "type_embeddings/embeddings"),
    (r"^embeddings/position_embedding$", "position_embedding/embeddings"),
    (r"^encoder_block_(\d+)/", r"transformer/layer_\1/"),
    (r"/attention/(query|key|value)/", r"/self_attention/\1/"),
    (r"/attention/output/", "/self_attention/attention_output/"),
    (r"/attention_layer_norm/", "/self_attention_layer_norm/"),
    (r"/feed_forward/(intermediate|output)/", r"/\1/"),
    (r"/feed_forward_layer_norm/", "/output_layer_norm/"),
    (r"^pooler/dense/", "pooler_transform/"),
    (r"^masked_lm/transform/", "bert/cls/predictions/transform/dense/"),
    (r"^masked_lm/layer_norm/", "bert/cls/predictions/transform/LayerNorm/"),
    (r"^masked_lm/bias$", "bert/cls/predictions/output_bias/bias"),
)
# The next-sentence head and the classifier bring a pooler of their own; the encoder's is then not trained.
NEXT_SENTENCE: Rules = (
    (r"^pooler/dense/", "bert/next_sentence/pooler_dense/"),
    (r"^next_sentence/dense/", "bert/next_sentence/logits/"),
)
CLASSIFIER: Rules = (
    (r"^pooler/dense/", "sentence_prediction/pooler_dense/"),
    (r"^logits/", "sentence_prediction/logits/"),
)
ENCODER_NAME = re.compile(r"^bert_encoder(_v2)?(_\d+)?/")
NO_WEIGHTS = re.compile(r"\.OPTIMIZER_SLOT|^(.*/)?optimizer/|^(save_counter|global_step|_CHECKPOINTABLE_OBJECT_GRAPH)")


def read(path: Path) -> Checkpoint:
    """Reads a folder with a checkpoint and its `bert_config.json`, or a SavedModel."""
    saved_model = (path / "saved_model.pb").exists()
    prefix = path / SAVED_VARIABLES if saved_model else checkpoint_prefix(path)
    held = _by_full_name(prefix)
    lowercase = bool(held.pop(LOWERCASE)) if LOWERCASE in held else None
    if (path / CONFIG_FILE).exists():
        config = from_bert_config(read_json(path / CONFIG_FILE), ACTIVATIONS, path / CONFIG_FILE)
    else:
        config = _config_by_shapes(prefix, held)

    rules: Rules = ENCODER
    if "bert/next_sentence/logits/bias" in held:
        rules = (*NEXT_SENTENCE, *ENCODER)
    if "sentence_prediction/logits/bias" in held:
        rules = (*(CLASSIFIER if "sentence_prediction/pooler_dense/bias" in held else CLASSIFIER[1:]), *ENCODER)
        architecture, num_classes = "BertTextClassifier", held["sentence_prediction/logits/bias"].size
    else:
        architecture, num_classes = (
            pretraining_architecture(
                masked_lm="bert/cls/predictions/output_bias/bias" in held,
                next_sentence="bert/next_sentence/logits/bias" in held,
            ),
            0,
        )
    shapes = model_shapes(config, architecture, renamed("pooler/dense/bias", rules) in held, num_classes)
    weights = take_tensors(
        prefix, shapes, lambda name: renamed(name, rules), held, lambda name, tensor: _joined(tensor, shapes[name])
    )
    wanted = {renamed(name, rules) for name in shapes}
    unused = {name for name in held if name.startswith("pooler_transform/")} - wanted
    notes = ["the encoder's own pooler (pooler_transform) is left out: no head was trained with it"] if unused else []
    refuse_others(prefix, held, wanted | unused)
    return Checkpoint(architecture, config, weights, lowercase=lowercase, notes=notes)


def _joined(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Attention's tensors are stored with the heads as an axis of their own; in memory they are the same."""
    return tensor.reshape(shape) if tensor.ndim > len(shape) and tensor.size == np.prod(shape) else tensor


def _by_full_name(prefix: Path) -> dict[str, np.ndarray]:
    """The weights by the names that the variables had, without the encoder's own."""
    by_key = read_variables(prefix)
    graph = TrackableObjectGraph.FromString(by_key[OBJECT_GRAPH])
    held = {}
    for node in graph.nodes:
        for attribute in node.attributes:
            if attribute.checkpoint_key in by_key and not NO_WEIGHTS.search(attribute.checkpoint_key):
                held[ENCODER_NAME.sub("", attribute.full_name)] = by_key[attribute.checkpoint_key]
    return held


def _config_by_shapes(prefix: Path, held: dict[str, np.ndarray]) -> BertConfig:
    """A SavedModel brings no config: its sizes are those of its tensors."""
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
        raise UserError(
            f"{prefix}: holds no {error}, so no BERT of the Model Garden; give a folder that does"
        ) from None
