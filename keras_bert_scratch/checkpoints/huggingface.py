"""Hugging Face folders: `config.json`, `model.safetensors`, `vocab.txt` or `tokenizer.json`.

Weights are read from `model.safetensors`, in one file or in shards, else from `pytorch_model.bin` (by a reader that
runs no code), else from `tf_model.h5`. They are written as safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints import huggingface_tf, huggingface_translator
from keras_bert_scratch.checkpoints.architectures import (
    ARCHITECTURES,
    CRF_TRANSITIONS,
    model_shapes,
    pretraining_architecture,
)
from keras_bert_scratch.checkpoints.bert_config import from_bert_config, to_bert_config
from keras_bert_scratch.checkpoints.card import CARD_FILE, TRANSFORMERS, card_of
from keras_bert_scratch.checkpoints.checkpoint import PROBLEM_TYPES, Checkpoint, check_no_extra_tensors, select_tensors
from keras_bert_scratch.checkpoints.config_fields import HUGGING_FACE_CONFIG
from keras_bert_scratch.checkpoints.labels import read_label_names
from keras_bert_scratch.checkpoints.names import huggingface_names, renamed
from keras_bert_scratch.checkpoints.sentence_transformers import write_embedding
from keras_bert_scratch.checkpoints.shards import shards_of
from keras_bert_scratch.checkpoints.torch_pickle import read_torch_tensors
from keras_bert_scratch.config import BOTH, LEFT_TO_RIGHT, BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, names_in
from keras_bert_scratch.text.rule_files import OTHERS_MAX_WORD_LENGTH
from keras_bert_scratch.text.vocabulary_files import TARGET, write_vocabulary

CONFIG_FILE = "config.json"
SAFETENSORS_FILE = "model.safetensors"
TORCH_FILE = "pytorch_model.bin"
TENSORFLOW_FILE = "tf_model.h5"

# Their names to ours. If several of their names have the same meaning, the first is written.
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "linear": "linear",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

POOLER = ("pooler/dense/kernel", "pooler/dense/bias")
THEIR_POOLER = ("bert.pooler.dense.weight", "bert.pooler.dense.bias")
POOLER_LEFT_OUT = (
    "the pooler is left out: Hugging Face pools a left-to-right model at the first token, this library at the last one"
)
# Stored with the weights by some versions: tables of constant ids, and a second copy of the tied output matrix.
BUFFERS = {"bert.embeddings.position_ids", "bert.embeddings.token_type_ids"}
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


def files(path: AnyPath) -> list[str]:
    """The names of the files that `read` reads in the folder `path`."""
    origin, names = _weight_files(path)
    return list(dict.fromkeys([CONFIG_FILE, origin, *names]))


def read(path: Path) -> Checkpoint:
    """Reads a folder that `transformers` or a compatible program saved."""
    file = path / CONFIG_FILE
    description = atomic.read_json(file)
    if description.get("model_type") == huggingface_translator.MODEL_TYPE:
        return _read_translator(path, file, description)
    notes = HUGGING_FACE_CONFIG.check(file, description)
    config = _config(file, description)
    problem_type = description.get("problem_type")
    if problem_type not in (None, *PROBLEM_TYPES):
        raise UserError(f"{file}: problem_type is {problem_type!r}; supported are {', '.join(PROBLEM_TYPES)}")
    origin, held = _read_files(path)
    held = {_current_name(name): tensor for name, tensor in held.items()}
    _drop_tied(origin, held)

    architecture = _architecture(file, description, held)
    if config.direction != BOTH:
        if ARCHITECTURES[architecture].needs_pooler:
            raise UserError(
                f"{file}: is_decoder is true, but its head reads the first token, which attends to no other token"
            )
        architecture = "BertCausalLM" if architecture == "BertMaskedLM" else architecture
        if [held.pop(name) for name in THEIR_POOLER if name in held]:
            notes.append(POOLER_LEFT_OUT)
    names = huggingface_names(architecture)
    num_classes = held[names["logits/bias"]].size if "logits/bias" in names else 0
    shapes = model_shapes(config, architecture, THEIR_POOLER[1] in held, num_classes)
    weights = select_tensors(origin, shapes, lambda name: renamed(name, names), held, _transposed)
    check_no_extra_tensors(origin, held, (renamed(name, names) for name in shapes))
    checkpoint = Checkpoint(architecture, config, weights, notes=notes)
    if ARCHITECTURES[architecture].has_labels:
        checkpoint.label_names = read_label_names(file, description, num_classes)
    if architecture == "BertTextClassifier":
        checkpoint.problem_type = problem_type
    return checkpoint


def _config(file: Path, description: Mapping[str, Any]) -> BertConfig:
    dropout = description.get("classifier_dropout")
    is_decoder = description.get("is_decoder")
    if is_decoder not in (True, False, None):
        raise UserError(f"{file}: is_decoder should be true or false, not {is_decoder!r}; copy it again")
    direction = LEFT_TO_RIGHT if is_decoder else BOTH
    return from_bert_config(description, ACTIVATIONS, file, classifier_dropout=dropout, direction=direction)


def _read_translator(path: Path, file: Path, description: Mapping[str, Any]) -> Checkpoint:
    encoder, decoder, notes = huggingface_translator.read_configs(file, description)
    config, decoder_config = _config(file, encoder), _config(file, decoder)
    origin, held = _read_files(path)
    _drop_tied(origin, held, "decoder.")
    for buffer in BUFFERS:
        held.pop(buffer.replace("bert", "encoder", 1), None)
    names = huggingface_translator.translator_names()
    shapes = model_shapes(config, "BertTranslator", "encoder.pooler.dense.bias" in held, decoder=decoder_config)
    weights = select_tensors(origin, shapes, lambda name: renamed(name, names), held, _transposed)
    check_no_extra_tensors(origin, held, (renamed(name, names) for name in shapes))
    return Checkpoint("BertTranslator", config, weights, decoder=decoder_config, notes=notes)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes a folder that `transformers` loads, heads included."""
    (path / CARD_FILE).write_text(card_of(checkpoint, TRANSFORMERS), encoding="utf-8")
    if checkpoint.architecture == "BertTranslator":
        _write_translator(checkpoint, path)
        return
    names = huggingface_names(checkpoint.architecture)
    left_out = [CRF_TRANSITIONS]
    if checkpoint.config.direction != BOTH and checkpoint.has_pooler:
        left_out += POOLER
        checkpoint.notes.append(POOLER_LEFT_OUT)
    weights = {name: tensor for name, tensor in checkpoint.weights.items() if name not in left_out}
    tensors = {renamed(name, names): _transposed(name, tensor) for name, tensor in weights.items()}
    if checkpoint.has_crf:
        checkpoint.notes.append(
            "the transitions of the CRF are left out: Hugging Face's class has none and tags each word by its logits "
            "alone, so its tags will differ"
        )
    if not ARCHITECTURES[checkpoint.architecture].heads:
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    config = checkpoint.config
    description = _description(config, ARCHITECTURES[checkpoint.architecture].huggingface)
    if checkpoint.problem_type is not None:
        description["problem_type"] = checkpoint.problem_type
    if checkpoint.num_classes and ARCHITECTURES[checkpoint.architecture].has_labels:
        labels = checkpoint.label_names or [f"LABEL_{number}" for number in range(checkpoint.num_classes)]
        description["id2label"] = {str(number): label for number, label in enumerate(labels)}
        description["label2id"] = {label: number for number, label in enumerate(labels)}
    if checkpoint.vocabulary is not None:
        description["pad_token_id"] = checkpoint.vocabulary.pad_id
        _write_tokenizer(checkpoint, path)
    if checkpoint.embedding is not None:
        checkpoint.notes += write_embedding(path, checkpoint.embedding, config)
    _write_files(path, description, tensors)


def _write_translator(checkpoint: Checkpoint, path: Path) -> None:
    """Writes an encoder and a decoder, each with embeddings of its own."""
    names, weights = huggingface_translator.translator_names(), dict(checkpoint.weights)
    decoder = checkpoint.decoder or checkpoint.config
    if decoder.hidden_size != checkpoint.config.hidden_size:
        raise UserError(
            f"`to='huggingface'`: its decoder must have the encoder's hidden size of {checkpoint.config.hidden_size}, "
            f"but has {decoder.hidden_size}; choose native"
        )
    if checkpoint.decoder is None:
        shared = {name: tensor for name, tensor in weights.items() if name.startswith("embeddings/")}
        weights |= {f"decoder_{name}": tensor for name, tensor in shared.items()}
        checkpoint.notes.append("the embeddings that encoder and decoder share are written twice")
    tensors = {renamed(name, names): _transposed(name, tensor) for name, tensor in weights.items()}
    description: dict[str, Any] = {
        "model_type": huggingface_translator.MODEL_TYPE,
        "architectures": [ARCHITECTURES[checkpoint.architecture].huggingface],
        "is_encoder_decoder": True,
        "encoder": _description(checkpoint.config, "BertModel"),
        "decoder": {**_description(decoder, "BertLMHeadModel"), **huggingface_translator.DECODER_FIELDS},
    }
    if checkpoint.vocabulary is not None:
        written = checkpoint.target_vocabulary or checkpoint.vocabulary
        description |= {"pad_token_id": written.pad_id, "eos_token_id": written.sep_id}
        description["decoder_start_token_id"] = written.cls_id
        _write_tokenizer(checkpoint, path)
        if checkpoint.target_vocabulary is not None:
            write_vocabulary(path, checkpoint.target_vocabulary, checkpoint.target_rules, TARGET)
            checkpoint.notes.append(f"Hugging Face keeps one tokenizer; the target vocabulary is in {TARGET}vocab.txt")
    _write_files(path, description, tensors)


def _description(config: BertConfig, architecture: str) -> dict[str, Any]:
    return {
        "model_type": "bert",
        "architectures": [architecture],
        **to_bert_config(config),
        "hidden_act": next(theirs for theirs, ours in ACTIVATIONS.items() if ours == config.activation),
        "classifier_dropout": config.classifier_dropout,
        "pad_token_id": 0,
        **({"is_decoder": True} if config.direction == LEFT_TO_RIGHT else {}),
    }


def _write_files(path: Path, description: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
    atomic.write_json(path / CONFIG_FILE, description)
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    safetensors.numpy.save_file(contiguous, path / SAFETENSORS_FILE, metadata={"format": "pt"})


def _write_tokenizer(checkpoint: Checkpoint, path: Path) -> None:
    rules = checkpoint.rules
    checkpoint.vocabulary.save(path / "vocab.txt")
    settings = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": rules.lowercase,
        "strip_accents": None if rules.strip_accents == rules.lowercase else rules.strip_accents,
        "tokenize_chinese_chars": rules.tokenize_chinese_chars,
        "model_max_length": checkpoint.config.max_position_embeddings,
    }
    atomic.write_json(path / "tokenizer_config.json", settings)
    if rules.max_word_length != OTHERS_MAX_WORD_LENGTH:
        checkpoint.notes.append(
            f"words of more than {OTHERS_MAX_WORD_LENGTH} characters become [UNK] in Hugging Face; here the limit "
            f"is {rules.max_word_length}"
        )


def _transposed(name: str, tensor: np.ndarray) -> np.ndarray:
    """Transposes the matrix of a dense layer, which torch stores with one row per output."""
    return tensor.T if name.endswith("/kernel") else tensor


def _architecture(file: Path, description: Mapping[str, Any], held: Mapping[str, np.ndarray]) -> str:
    """The architecture that these tensors belong to; if several heads have the same tensors, the config decides."""

    def fits(name: str) -> bool:
        made_of = ARCHITECTURES[name]
        bias = held.get(f"{made_of.huggingface_prefix}.bias") if made_of.huggingface_prefix else None
        pooled = THEIR_POOLER[1] in held or not made_of.needs_pooler
        return bias is not None and pooled and made_of.num_classes in (None, bias.size)

    named = description.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise UserError(f"{file}: architectures should be a list of names, not {named!r}; copy it again")
    named = [name.removeprefix("TF") for name in named]
    candidates = [name for name in ARCHITECTURES if fits(name)]
    if candidates:
        return next((name for name in candidates if ARCHITECTURES[name].huggingface in named), candidates[0])
    return pretraining_architecture(
        masked_lm="cls.predictions.bias" in held, next_sentence="cls.seq_relationship.bias" in held
    )


def _read_files(path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """The file that was read, and its tensors by torch's names."""
    origin, names = _weight_files(path)
    read_file = READERS[origin.removesuffix(INDEX_SUFFIX)]
    held: dict[str, np.ndarray] = {}
    for name in names:
        held |= read_file(path / name)
    return path / origin, held


def _weight_files(path: AnyPath) -> tuple[str, list[str]]:
    """The weights file or the index of its shards, and the files that hold the weights."""
    for name in READERS:
        if (path / name).exists():
            return name, [name]
        if name != TENSORFLOW_FILE and (path / f"{name}{INDEX_SUFFIX}").exists():
            return f"{name}{INDEX_SUFFIX}", shards_of(path / f"{name}{INDEX_SUFFIX}")
    raise UserError(
        f"{path}: holds no {SAFETENSORS_FILE}, {TORCH_FILE} or {TENSORFLOW_FILE}, but {names_in(path)}; copy the "
        f"weights there"
    )


def _read_safetensors(file: Path) -> dict[str, np.ndarray]:
    try:
        return safetensors.numpy.load_file(file)
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise UserError(f"{file}: is missing, damaged or cut short ({error}); copy it again") from None


# By the name of the weights file; the first one that exists is read.
READERS = {
    SAFETENSORS_FILE: _read_safetensors,
    TORCH_FILE: read_torch_tensors,
    TENSORFLOW_FILE: huggingface_tf.read_tensors,
}
INDEX_SUFFIX = ".index.json"  # of the file that says which shard holds a tensor


def _current_name(name: str) -> str:
    """The current name in `transformers`: with the encoder's prefix, and `weight` and `bias` in a LayerNorm."""
    # Prefixes that torch's DataParallel and torch.compile add.
    name = name.removeprefix("module.").removeprefix("_orig_mod.")
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")


def _drop_tied(origin: Path, held: dict[str, np.ndarray], prefix: str = "") -> None:
    """Removes second copies of tied tensors; raises `UserError` if a copy differs, which is not BERT."""
    for buffer in BUFFERS:
        held.pop(prefix + buffer, None)
    for copy, original in TIED.items():
        tensor = held.pop(prefix + copy, None)
        if tensor is not None and not np.array_equal(tensor, held.setdefault(prefix + original, tensor)):
            raise UserError(f"{origin}: {prefix}{copy} differs from {prefix}{original}; in BERT they are the same")
