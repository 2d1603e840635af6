"""KerasHub's preset folders: `config.json`, `model.weights.h5`, `tokenizer.json`, `assets/tokenizer/vocabulary.txt`.

The format holds the encoder with its pooler, a preset's `BertBackbone`; heads (`task.weights.h5`) are neither read nor
written. KerasHub's BERT always approximates GELU by tanh.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import Shape, model_shapes
from keras_bert_scratch.checkpoints.bert_config import checked_config
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint, check_no_extra_tensors, select_tensors
from keras_bert_scratch.checkpoints.config_fields import KERAS_HUB_CONFIG, KERAS_OBJECT
from keras_bert_scratch.checkpoints.names import renamed, templates
from keras_bert_scratch.checkpoints.shards import shards_of
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.text.rule_files import OTHERS_MAX_WORD_LENGTH

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
INDEX_FILE = "model.weights.json"  # of the shards of a large preset
OLD_GROUP = re.compile(r"^_layer_checkpoint_dependencies/")  # the name of the group of the layers in Keras 2.13
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
LAYER_NORM_EPSILON = 1e-12  # fixed in KerasHub's code
# In the weights file, Keras names the layers of a functional model by class, and numbers the layers of one class.
NAMES = templates(
    {
        "embeddings/token_embedding": "layers/reversible_embedding/vars/0",
        "embeddings/segment_embedding": "layers/embedding/vars/0",
        "embeddings/position_embedding": "layers/position_embedding/vars/0",
        "embeddings/layer_norm/gamma": "layers/layer_normalization/vars/0",
        "embeddings/layer_norm/beta": "layers/layer_normalization/vars/1",
        "pooler/dense/kernel": "layers/dense/vars/0",
        "pooler/dense/bias": "layers/dense/vars/1",
    },
    {
        "attention/query/kernel": "_self_attention_layer/query_dense/vars/0",
        "attention/query/bias": "_self_attention_layer/query_dense/vars/1",
        "attention/key/kernel": "_self_attention_layer/key_dense/vars/0",
        "attention/key/bias": "_self_attention_layer/key_dense/vars/1",
        "attention/value/kernel": "_self_attention_layer/value_dense/vars/0",
        "attention/value/bias": "_self_attention_layer/value_dense/vars/1",
        "attention/output/kernel": "_self_attention_layer/output_dense/vars/0",
        "attention/output/bias": "_self_attention_layer/output_dense/vars/1",
        "attention_layer_norm/gamma": "_self_attention_layer_norm/vars/0",
        "attention_layer_norm/beta": "_self_attention_layer_norm/vars/1",
        "feed_forward/intermediate/kernel": "_feedforward_intermediate_dense/vars/0",
        "feed_forward/intermediate/bias": "_feedforward_intermediate_dense/vars/1",
        "feed_forward/output/kernel": "_feedforward_output_dense/vars/0",
        "feed_forward/output/bias": "_feedforward_output_dense/vars/1",
        "feed_forward_layer_norm/gamma": "_feedforward_layer_norm/vars/0",
        "feed_forward_layer_norm/beta": "_feedforward_layer_norm/vars/1",
    },
    "layers/transformer_encoder{}/",
)


def files(path: AnyPath) -> list[str]:
    """The names of the files that `read` reads in the folder `path`."""
    origin, names = _weight_files(path)
    return list(dict.fromkeys([CONFIG_FILE, origin, *names]))


def _weight_files(path: AnyPath) -> tuple[str, list[str]]:
    """The weights file or the index of its shards, and the files that hold the weights."""
    if (path / INDEX_FILE).exists() and not (path / WEIGHTS_FILE).exists():
        return INDEX_FILE, shards_of(path / INDEX_FILE)
    return WEIGHTS_FILE, [WEIGHTS_FILE]


def _read_files(path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The file that was read, and its tensors by Keras's current names."""
    origin, names = _weight_files(path)
    held: dict[str, np.ndarray] = {}
    for name in names:
        held |= read_tensors(path / name)
    return path / origin, {OLD_GROUP.sub("layers/", name): tensor for name, tensor in held.items()}


def read(path: Path) -> Checkpoint:
    """Reads a preset's backbone."""
    file = path / CONFIG_FILE
    described = atomic.read_json(file)
    if described.get("class_name") != "BertBackbone":
        raise UserError(f"{file}: is a KerasHub {described.get('class_name')}, not a BertBackbone")
    notes = KERAS_OBJECT.check(file, described)
    settings = described.get("config")
    if not isinstance(settings, dict):
        raise UserError(f"{file}: lacks 'config'; save the preset again")
    notes += KERAS_HUB_CONFIG.check(f"{file}: config", settings)
    try:
        sizes = {name: settings[theirs] for name, theirs in FIELDS.items()}
    except KeyError as error:
        raise UserError(f"{file}: lacks {error}; save the preset again") from None
    values = {**sizes, "attention_dropout": sizes["hidden_dropout"], "activation": "gelu_tanh"}
    config = checked_config(values, file, {ours: (theirs, None) for ours, theirs in FIELDS.items()})
    origin, held = _read_files(path)
    shapes = model_shapes(config, "BertBackbone", pooler=True)
    weights = select_tensors(
        origin,
        shapes,
        _keras_hub_name,
        held,
        lambda name, tensor: (
            tensor.reshape(shapes[name]) if tensor.shape == _keras_hub_shape(name, shapes[name], config) else tensor
        ),
    )
    check_no_extra_tensors(origin, held, map(_keras_hub_name, shapes))
    return Checkpoint("BertBackbone", config, weights, notes=notes)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes a preset that `keras_hub.models.BertBackbone.from_preset` loads."""
    config, notes = checkpoint.config, checkpoint.notes
    shapes = model_shapes(config, "BertBackbone", pooler=True)
    left_out = sorted({name.split("/")[0] for name in checkpoint.weights.keys() - shapes.keys()})
    if left_out:
        notes.append(f"left out, as KerasHub's backbone has no such layer: {', '.join(left_out)}")
    if not checkpoint.has_pooler:
        notes.append("KerasHub's backbone always has a pooler and this model has none: it is written as zeros")
    if config.activation not in ("gelu", "gelu_tanh"):
        raise UserError(f"`to='keras_hub'`: it supports only GELU, not {config.activation!r}; choose another format")
    if config.activation == "gelu":
        notes.append("KerasHub approximates GELU by tanh: outputs will differ in the third decimal")
    if config.attention_dropout != config.hidden_dropout:
        notes.append("KerasHub has one dropout rate: hidden_dropout is written, attention_dropout is not")
    if config.layer_norm_epsilon != LAYER_NORM_EPSILON:
        notes.append(
            f"KerasHub has a fixed LayerNorm epsilon of {LAYER_NORM_EPSILON}, not {config.layer_norm_epsilon}: outputs "
            f"will differ"
        )
    tensors = {
        _keras_hub_name(name): checkpoint.weights.get(name, np.zeros(shape, np.float32)).reshape(
            _keras_hub_shape(name, shape, config)
        )
        for name, shape in shapes.items()
    }
    sizes = {theirs: getattr(config, name) for name, theirs in FIELDS.items()}
    backbone = _keras_object("bert_backbone", "BertBackbone", {"name": "bert_backbone", "trainable": True, **sizes})
    atomic.write_json(path / CONFIG_FILE, backbone)
    write_tensors(path / WEIGHTS_FILE, tensors)
    atomic.write_json(path / "metadata.json", {"parameter_count": sum(tensor.size for tensor in tensors.values())})
    if checkpoint.vocabulary is not None:
        rules = checkpoint.rules
        if not rules.tokenize_chinese_chars:
            notes.append(
                "KerasHub makes each ideograph a word, which this model does not: texts will be tokenized differently"
            )
        if rules.max_word_length != OTHERS_MAX_WORD_LENGTH:
            notes.append(
                f"words of more than {OTHERS_MAX_WORD_LENGTH} bytes become [UNK] in KerasHub; here the limit is "
                f"{rules.max_word_length} characters"
            )
        settings = {
            "name": "bert_tokenizer",
            "config_file": "tokenizer.json",
            "lowercase": rules.lowercase,
            "strip_accents": rules.strip_accents,
        }
        atomic.write_json(path / "tokenizer.json", _keras_object("bert_tokenizer", "BertTokenizer", settings))
        checkpoint.vocabulary.save(path / "assets" / "tokenizer" / "vocabulary.txt")


def _keras_hub_name(name: str) -> str:
    """The tensor's name in KerasHub, where the first block has no number."""
    return renamed(name, NAMES, lambda number: "" if number == "0" else f"_{number}")


def _keras_hub_shape(name: str, shape: Shape, config: BertConfig) -> Shape:
    """The shape in KerasHub, where attention's tensors have a separate axis for the heads."""
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
