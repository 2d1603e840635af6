"""`bert_config.json`, as introduced by Google and adopted by Hugging Face: our fields under other names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError

# Our name: their name, and the default if the file lacks the field, which is BERT-base's, as in their code.
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


def from_bert_config(
    values: Mapping[str, Any], activations: Mapping[str, str], origin: Path, **others: Any
) -> BertConfig:
    """Converts their fields to our config.

    Args:
        values: the file's fields.
        activations: maps their names of activations to ours.
        origin: the file, for errors.
        others: further fields, by our names.

    Raises:
        UserError: a field has an invalid value; the message has their name of the field.

    Example:
        >>> from_bert_config({"hidden_size": 128, "num_attention_heads": 2}, {"gelu": "gelu"}, Path("c")).hidden_size
        128
    """
    activation = values.get("hidden_act", "gelu")
    if activation not in tuple(activations):
        raise UserError(
            f"{origin}: its activation (hidden_act) {activation!r} is not supported; supported are "
            f"{', '.join(activations)}"
        )
    ours = {name: values.get(theirs, default) for name, (theirs, default) in FIELDS.items()}
    return checked_config({**ours, "activation": activations[activation], **others}, origin, FIELDS)


def checked_config(values: Mapping[str, Any], origin: Path, names: Mapping[str, tuple[str, Any]]) -> BertConfig:
    """The config; errors name the file and the field as it is called in the file."""
    # A size of 0 means "the default" only in our own BertConfig.
    zero = next((name for name in ("num_heads", "intermediate_size") if values[name] == 0), None)
    try:
        if zero:
            raise UserError(f"`{zero}`: must be a whole number of at least 1, not {values[zero]!r}")
        return BertConfig(**values)
    except UserError as error:
        field, _, problem = str(error).removeprefix("`").partition("`: ")
        raise UserError(f"{origin}: {names.get(field, (field,))[0]}: {problem}") from None


def to_bert_config(config: BertConfig) -> dict[str, Any]:
    """Their fields, except `hidden_act`."""
    return {theirs: getattr(config, name) for name, (theirs, _) in FIELDS.items()}
