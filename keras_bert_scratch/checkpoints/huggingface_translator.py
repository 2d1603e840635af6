"""Hugging Face's `EncoderDecoderModel` of two BERTs: how its config and tensors are called."""

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
    """Our names to theirs: the encoder's as of a `BertModel` alone, the decoder's as of a `BertLMHeadModel`."""
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
    """The configs of encoder and decoder as those of any BERT, and notes on fields that are not obeyed.

    Raises:
        UserError: one is missing, or is no BERT's.
    """
    notes = HUGGING_FACE_TRANSLATOR_CONFIG.check(file, description)
    found = []
    for part in ("encoder", "decoder"):
        config = description.get(part)
        if not isinstance(config, dict):
            raise UserError(f"{file}: has no config of the {part}; copy it again")
        config = dict(config)
        if part == "decoder":
            for field, value in DECODER_FIELDS.items():
                if config.pop(field, None) is not value:
                    raise UserError(f"{file}: decoder: {field} should be true; it is no decoder that reads an encoder")
        notes += HUGGING_FACE_CONFIG.check(file.with_name(f"{file.name}: {part}"), config)
        found.append(config)
    return found[0], found[1], notes
