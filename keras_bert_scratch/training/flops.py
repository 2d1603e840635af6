"""The number of floating-point operations of a training step."""

from __future__ import annotations

from keras_bert_scratch.config import BertConfig


def step_flops(
    config: BertConfig, rows: int, length: int, predictions: int, examples: int = 1, last_only_read: bool = True
) -> float:
    """Floating-point operations of all matrix products of a pretraining step, forward and backward.

    A product of (a, b) and (b, c) is 2abc operations; the backward pass has two products for each forward product.

    Args:
        config: sizes.
        rows: rows per batch.
        length: positions per row.
        predictions: masked positions per row; 0 for a model without that head.
        examples: maximum number of examples per row.
        last_only_read: whether the last block computes only the positions whose output is read.

    Example:
        >>> config = BertConfig.preset("bert-mini")
        >>> round(step_flops(config, 32, 128, 20, last_only_read=False) / 1e9)
        114
    """
    h, inner = config.hidden_size, config.intermediate_size

    def block(read: int) -> float:
        keys_and_values = 2 * length * 2 * h * h
        queries_and_output = 2 * read * 2 * h * h
        attention = 2 * read * length * 2 * h
        return keys_and_values + queries_and_output + attention + 2 * read * 2 * h * inner

    read = min(length, predictions + examples) if last_only_read else length
    encoder = (config.num_layers - 1) * block(length) + block(read)
    masked_lm = 2 * predictions * (h * h + h * config.vocab_size)
    pooled = 2 * examples * (h * h + 2 * h)
    return 3.0 * rows * (encoder + masked_lm + pooled)
