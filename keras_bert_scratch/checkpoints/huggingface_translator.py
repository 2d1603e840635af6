"""Hugging Face's `EncoderDecoderModel` of two BERTs: the names of its config fields and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch.checkpoints.config_fields import HUGGING_FACE_CONFIG, HUGGING_FACE_TRANSLATOR_CONFIG
from keras_bert_scratch.checkpoints.names import BLOCK, Templates, huggingface_names
from keras_bert_scratch.errors import UserError

MODEL_TYPE = "encoder-decoder"
DECODER_FIELDS = {
    "is_decoder": True,
    "add_cross_attention": True,
}  # what a decoder's config has that an encoder's lacks


def translator_names() -> Templates:
    """Maps our names to theirs: the encoder's as in a `BertModel`, the decoder's as in a `BertLMHeadModel`."""
    names = {}
    for ours, theirs in huggingface_names("BertMaskedLM").items():
        is_block = ours.startswith(BLOCK)
        if is_block or ours.startswith(("embeddings/", "pooler/")):
            names[ours] = "encoder." + theirs.removeprefix("bert.")
        if is_block:
            names[ours.replace("encoder", "decoder", 1)] = f"decoder.{theirs}"
            if "/attention" in ours:
                cross = ours.replace("encoder", "decoder", 1).replace("/attention", "/cross_attention")
                names[cross] = "decoder." + theirs.replace(".attention.", ".crossattention.")
        elif ours.startswith("embeddings/"):
            names[f"decoder_{ours}"] = f"decoder.{theirs}"
        elif ours.startswith("masked_lm/"):
            names[ours] = f"decoder.{theirs}"
    return names


def read_configs(file: Path, description: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """The configs of encoder and decoder in the form of any BERT's, and notes on fields that are not obeyed.

    Raises:
        UserError: a config is missing, or is not that of a BERT.
    """
    notes = HUGGING_FACE_TRANSLATOR_CONFIG.check(file, description)
    found = []
    for part in ("encoder", "decoder"):
        config = description.get(part)
        if not isinstance(config, dict):
            raise UserError(f"{file}: has no config for the {part}; copy it again")
        config = dict(config)
        if part == "decoder":
            for field, value in DECODER_FIELDS.items():
                if config.pop(field, None) is not value:
                    raise UserError(
                        f"{file}: decoder: {field} should be true; it is not the decoder of an encoder-decoder model"
                    )
        notes += HUGGING_FACE_CONFIG.check(file.with_name(f"{file.name}: {part}"), config)
        found.append(config)
    return found[0], found[1], notes
