"""`bert_config.json` as Google wrote it first and Hugging Face after them: the same fields under other names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError

# Ours, theirs, and what it is where the file is silent: BERT-base's, as in their code.
FIELDS = {
    "vocab_size": ("vocab_size", 30522),
    "num_layers": ("num_hidden_layers", 12),
    "hidden_size": ("hidden_size", 768),
    "num_heads": ("num_attention_heads", 12),
    "intermediate_size": ("intermediate_size", 3072),
    "max_position_embeddings": ("max_position_embeddings", 512),
    "num_segments": ("type_vocab_size", 2),
    "hidden_dropout": ("hidden_dropout_prob", 0.1),
    "attention_dropout": ("attention_probs_dropout_prob", 0.1),
    "initializer_range": ("initializer_range", 0.02),
    "layer_norm_epsilon": ("layer_norm_eps", 1e-12),
}


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in `file`."""
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: is not readable JSON ({error}); copy it again") from None
    if not isinstance(values, dict):
        raise UserError(f"{file}: should hold a JSON object; copy it again")
    return values


def from_bert_config(values: Mapping[str, Any], activations: Mapping[str, str], origin: Path) -> BertConfig:
    """Our config; `activations` says which GELU their names mean.

    Example:
        >>> from_bert_config({"hidden_size": 128, "num_attention_heads": 2}, {"gelu": "gelu"}, Path("c")).hidden_size
        128
    """
    activation = values.get("hidden_act", "gelu")
    if activation not in activations:
        raise UserError(
            f"{origin}: its activation (hidden_act) {activation!r} is none of BERT's: {', '.join(activations)}"
        )
    ours = {name: values.get(theirs, default) for name, (theirs, default) in FIELDS.items()}
    try:
        return BertConfig(**ours, activation=activations[activation])
    except UserError as error:
        raise UserError(f"{origin}: {error}") from None


def to_bert_config(config: BertConfig) -> dict[str, Any]:
    """Their fields, but for `hidden_act`."""
    return {theirs: getattr(config, name) for name, (theirs, _) in FIELDS.items()}
