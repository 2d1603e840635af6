"""Other people's names for our tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence

Rules = Sequence[tuple[str, str]]

# Ours to those of Google's code, from which Hugging Face's come as well.
GOOGLES_NAMES: Rules = (
    (r"^embeddings/token_embedding$", "bert/embeddings/word_embeddings"),
    (r"^embeddings/segment_embedding$", "bert/embeddings/token_type_embeddings"),
    (r"^embeddings/position_embedding$", "bert/embeddings/position_embeddings"),
    (r"^embeddings/layer_norm/", "bert/embeddings/LayerNorm/"),
    (r"^encoder_block_(\d+)/", r"bert/encoder/layer_\1/"),
    (r"/attention/(query|key|value)/", r"/attention/self/\1/"),
    (r"/attention/output/", "/attention/output/dense/"),
    (r"/attention_layer_norm/", "/attention/output/LayerNorm/"),
    (r"/feed_forward/intermediate/", "/intermediate/dense/"),
    (r"/feed_forward/output/", "/output/dense/"),
    (r"/feed_forward_layer_norm/", "/output/LayerNorm/"),
    (r"^pooler/", "bert/pooler/"),
    (r"^masked_lm/transform/", "cls/predictions/transform/dense/"),
    (r"^masked_lm/layer_norm/", "cls/predictions/transform/LayerNorm/"),
    (r"^masked_lm/bias$", "cls/predictions/output_bias"),
    (r"^next_sentence/dense/kernel$", "cls/seq_relationship/output_weights"),
    (r"^next_sentence/dense/bias$", "cls/seq_relationship/output_bias"),
)


def renamed(name: str, rules: Rules) -> str:
    """The name after all replacements, in their order.

    Example:
        >>> renamed("encoder_block_3/attention/query/kernel", GOOGLES_NAMES)
        'bert/encoder/layer_3/attention/self/query/kernel'
    """
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
