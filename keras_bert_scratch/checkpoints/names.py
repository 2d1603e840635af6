"""Names of our tensors in other formats: one template per tensor, in which `{}` is the number of the encoder block."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES

Templates = Mapping[str, str]

BLOCK = "encoder_block_{}/"
_BLOCK_NUMBER = re.compile(r"(?<=^(?:encoder|decoder)_block_)\d+")

# Ours: Google's, Hugging Face's. Hugging Face's names derive from Google's; torch stores a kernel transposed.
_NAMES = {
    "embeddings/token_embedding": ("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight"),
    "embeddings/segment_embedding": (
        "bert/embeddings/token_type_embeddings",
        "bert.embeddings.token_type_embeddings.weight",
    ),
    "embeddings/position_embedding": (
        "bert/embeddings/position_embeddings",
        "bert.embeddings.position_embeddings.weight",
    ),
    "embeddings/layer_norm/gamma": ("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight"),
    "embeddings/layer_norm/beta": ("bert/embeddings/LayerNorm/beta", "bert.embeddings.LayerNorm.bias"),
    "pooler/dense/kernel": ("bert/pooler/dense/kernel", "bert.pooler.dense.weight"),
    "pooler/dense/bias": ("bert/pooler/dense/bias", "bert.pooler.dense.bias"),
    "masked_lm/transform/kernel": (
        "cls/predictions/transform/dense/kernel",
        "cls.predictions.transform.dense.weight",
    ),
    "masked_lm/transform/bias": ("cls/predictions/transform/dense/bias", "cls.predictions.transform.dense.bias"),
    "masked_lm/layer_norm/gamma": (
        "cls/predictions/transform/LayerNorm/gamma",
        "cls.predictions.transform.LayerNorm.weight",
    ),
    "masked_lm/layer_norm/beta": (
        "cls/predictions/transform/LayerNorm/beta",
        "cls.predictions.transform.LayerNorm.bias",
    ),
    "masked_lm/bias": ("cls/predictions/output_bias", "cls.predictions.bias"),
    "next_sentence/dense/kernel": ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
    "next_sentence/dense/bias": ("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
}
# The same for one encoder block, without its prefix.
_BLOCK_NAMES = {
    "attention/query/kernel": ("attention/self/query/kernel", "attention.self.query.weight"),
    "attention/query/bias": ("attention/self/query/bias", "attention.self.query.bias"),
    "attention/key/kernel": ("attention/self/key/kernel", "attention.self.key.weight"),
    "attention/key/bias": ("attention/self/key/bias", "attention.self.key.bias"),
    "attention/value/kernel": ("attention/self/value/kernel", "attention.self.value.weight"),
    "attention/value/bias": ("attention/self/value/bias", "attention.self.value.bias"),
    "attention/output/kernel": ("attention/output/dense/kernel", "attention.output.dense.weight"),
    "attention/output/bias": ("attention/output/dense/bias", "attention.output.dense.bias"),
    "attention_layer_norm/gamma": ("attention/output/LayerNorm/gamma", "attention.output.LayerNorm.weight"),
    "attention_layer_norm/beta": ("attention/output/LayerNorm/beta", "attention.output.LayerNorm.bias"),
    "feed_forward/intermediate/kernel": ("intermediate/dense/kernel", "intermediate.dense.weight"),
    "feed_forward/intermediate/bias": ("intermediate/dense/bias", "intermediate.dense.bias"),
    "feed_forward/output/kernel": ("output/dense/kernel", "output.dense.weight"),
    "feed_forward/output/bias": ("output/dense/bias", "output.dense.bias"),
    "feed_forward_layer_norm/gamma": ("output/LayerNorm/gamma", "output.LayerNorm.weight"),
    "feed_forward_layer_norm/beta": ("output/LayerNorm/beta", "output.LayerNorm.bias"),
}


def templates(names: Templates, block_names: Templates, block: str) -> Templates:
    """One mapping of all tensors; `block` is the prefix of a block's names in the other format."""
    return {**names, **{BLOCK + ours: block + theirs for ours, theirs in block_names.items()}}


def google_names(architecture: str) -> Templates:
    """Maps our names to those of Google's code."""
    prefix = ARCHITECTURES[architecture].google_prefix
    head = {"logits/kernel": f"{prefix}_weights", "logits/bias": f"{prefix}_bias"} if prefix else {}
    return {**_column(0, "bert/encoder/layer_{}/"), **head}


def huggingface_names(architecture: str) -> Templates:
    """Maps our names to those of Hugging Face's classes in torch."""
    prefix = ARCHITECTURES[architecture].huggingface_prefix
    head = {"logits/kernel": f"{prefix}.weight", "logits/bias": f"{prefix}.bias"} if prefix else {}
    return {**_column(1, "bert.encoder.layer.{}."), **head}


def _column(number: int, block: str) -> Templates:
    return templates(
        {ours: theirs[number] for ours, theirs in _NAMES.items()},
        {ours: theirs[number] for ours, theirs in _BLOCK_NAMES.items()},
        block,
    )


def renamed(name: str, names: Templates, number: Callable[[str], str] = str) -> str:
    """The other format's name of our tensor.

    Args:
        name: our name.
        names: maps our templates to theirs.
        number: converts the number of a block to their form.

    Example:
        >>> renamed("encoder_block_3/attention/query/kernel", google_names("BertBackbone"))
        'bert/encoder/layer_3/attention/self/query/kernel'
    """
    block = _BLOCK_NUMBER.search(name)
    if block is None:
        return names[name]
    return names[_BLOCK_NUMBER.sub("{}", name)].format(number(block[0]))
