"""KerasHub's preset folders: `config.json`, `model.weights.h5`, `tokenizer.json`, `assets/tokenizer/vocabulary.txt`.

The encoder with its pooler, which is what a preset's `BertBackbone` is; heads (`task.weights.h5`) are neither read nor
written. KerasHub's BERT always approximates GELU by tanh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.bert_config import read_json
from keras_bert_scratch.checkpoints.checkpoint import (
    Checkpoint,
    Shape,
    model_shapes,
    refuse_others,
    take_tensors,
)
from keras_bert_scratch.checkpoints.names import Rules, renamed
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import read_tensors, write_tensors

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
FIELDS = {
    "vocab_size": "vocabulary_size",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim",
    "hidden_dropout": "dropout",
    "max_position_embeddings": "max_sequence_length",
    "num_segments": "num_segments",
}
# Keras names the parts of a functional model in its weights file by class, and numbers those of one class.
NAMES: Rules = (
    (r"^embeddings/token_embedding$", "layers/reversible_embedding/vars/0"),
    (r"^embeddings/segment_embedding$", "layers/embedding/vars/0"),
    (r"^embeddings/position_embedding$", "layers/position_embedding/vars/0"),
    (r"^embeddings/layer_norm/", "layers/layer_normalization/"),
    (r"^encoder_block_0/", "layers/transformer_encoder/"),
    (r"^encoder_block_(\d+)/", r"layers/transformer_encoder_\1/"),
    (r"/attention/(query|key|value|output)/", r"/_self_attention_layer/\1_dense/"),
    (r"/attention_layer_norm/", "/_self_attention_layer_norm/"),
    (r"/feed_forward/(intermediate|output)/", r"/_feedforward_\1_dense/"),
    (r"/feed_forward_layer_norm/", "/_feedforward_layer_norm/"),
    (r"^pooler/dense/", "layers/dense/"),
    (r"/(kernel|gamma)$", "/vars/0"),
    (r"/(bias|beta)$", "/vars/1"),
)


def read(path: Path) -> Checkpoint:
    """Reads a preset's backbone."""
    described = read_json(path / CONFIG_FILE)
    if described.get("class_name") != "BertBackbone":
        raise UserError(f"{path / CONFIG_FILE}: is a KerasHub {described.get('class_name')}, not a BertBackbone")
    try:
        sizes = {name: described["config"][theirs] for name, theirs in FIELDS.items()}
    except KeyError as error:
        raise UserError(f"{path / CONFIG_FILE}: lacks {error}; save the preset again") from None
    config = BertConfig(**sizes, attention_dropout=sizes["hidden_dropout"], activation="gelu_tanh")
    held = read_tensors(path / WEIGHTS_FILE)
    shapes = model_shapes(config, "BertBackbone", pooler=True)
    weights = take_tensors(
        path / WEIGHTS_FILE,
        shapes,
        lambda name: renamed(name, NAMES),
        held,
        lambda name, tensor: (
            tensor.reshape(shapes[name]) if tensor.shape == _theirs(name, shapes[name], config) else tensor
        ),
    )
    refuse_others(path / WEIGHTS_FILE, held, (renamed(name, NAMES) for name in shapes))
    checkpoint = Checkpoint("BertBackbone", config, weights)
    if (path / "task.weights.h5").exists():
        checkpoint.notes.append("the task's head (task.weights.h5) is left out; only the backbone is read")
    return checkpoint


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes a preset that `keras_hub.models.BertBackbone.from_preset` loads."""
    config, notes = checkpoint.config, checkpoint.notes
    shapes = model_shapes(config, "BertBackbone", pooler=True)
    left_out = sorted({name.split("/")[0] for name in checkpoint.weights.keys() - shapes.keys()})
    if left_out:
        notes.append(f"left out, as KerasHub's backbone has no place for it: {', '.join(left_out)}")
    if not checkpoint.has_pooler:
        notes.append("KerasHub's backbone always has a pooler and this model has none: it is written as zeros")
    if config.activation != "gelu_tanh":
        notes.append("KerasHub approximates GELU by tanh: outputs will differ in the third decimal")
    if config.attention_dropout != config.hidden_dropout:
        notes.append("KerasHub has one rate of dropout: hidden_dropout is written, attention_dropout is not")
    tensors = {
        renamed(name, NAMES): checkpoint.weights.get(name, np.zeros(shape, np.float32)).reshape(
            _theirs(name, shape, config)
        )
        for name, shape in shapes.items()
    }
    sizes = {theirs: getattr(config, name) for name, theirs in FIELDS.items()}
    backbone = _keras_object("bert_backbone", "BertBackbone", {"name": "bert_backbone", "trainable": True, **sizes})
    atomic.write_json(path / CONFIG_FILE, backbone)
    write_tensors(path / WEIGHTS_FILE, tensors)
    atomic.write_json(path / "metadata.json", {"parameter_count": sum(tensor.size for tensor in tensors.values())})
    if checkpoint.vocabulary is not None:
        lowercase = checkpoint.lowercase
        settings = {
            "name": "bert_tokenizer",
            "config_file": "tokenizer.json",
            "lowercase": lowercase,
            "strip_accents": lowercase,
        }
        atomic.write_json(path / "tokenizer.json", _keras_object("bert_tokenizer", "BertTokenizer", settings))
        checkpoint.vocabulary.save(path / "assets" / "tokenizer" / "vocabulary.txt")


def _theirs(name: str, shape: Shape, config: BertConfig) -> Shape:
    """The shape in KerasHub, where attention's tensors have the heads as an axis of their own."""
    heads = (config.num_heads, config.hidden_size // config.num_heads)
    if "/attention/output/kernel" in name:
        return (*heads, shape[1])
    if "/attention/" in name and "/output/" not in name:
        return (*shape[:-1], *heads)
    return shape


def _keras_object(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {
        "module": f"keras_hub.src.models.bert.{module}",
        "class_name": class_name,
        "config": config,
        "registered_name": f"keras_hub>{class_name}",
    }
