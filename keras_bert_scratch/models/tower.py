"""Tower: embeddings and encoder blocks that attend in one direction or in both; a backbone has one or two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras import ops

from keras_bert_scratch.config import LEFT_TO_RIGHT, BertConfig
from keras_bert_scratch.layers.attention_bias import attention_bias, one_way, packed_attention_bias
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.encoder_block import EncoderBlock

PACKED_INPUT_NAMES = ("example_ids", "example_starts")


class Tower:
    """The layers from tokens to one vector per position. A plain object: a backbone owns the layers.

    Args:
        config: BertConfig. Sizes and rates.
        direction: str. What a position attends to: `"both"`, `"left-to-right"` or `"right-to-left"`.
        prefix: str, `""` or `"reverse_"`. Prefix of the names of the layers.
        dtype, packed, remat: as in `BertBackbone`.
    """

    def __init__(self, config: BertConfig, direction: str, prefix: str, dtype: Any, packed: bool, remat: bool) -> None:
        self.direction = direction
        self.packed = packed
        self.embeddings = BertEmbeddings(config, dtype=dtype, name=f"{prefix}embeddings")
        block = "reverse_block" if prefix else "encoder_block"
        self.blocks = [
            EncoderBlock(config, remat, dtype=dtype, name=f"{block}_{index}") for index in range(config.num_layers)
        ]

    def start(self, inputs: Mapping[str, Any], training: bool | None = None) -> tuple[Any, Any, Any]:
        """The inputs of the first block, which are embedded tokens and attention bias; and the token embedding."""
        names = ("token_ids", "segment_ids", *(PACKED_INPUT_NAMES if self.packed else ()))
        x, token_embedding = self.embeddings(*(inputs[name] for name in names), training=training)
        if self.packed:
            bias = packed_attention_bias(inputs["example_ids"], inputs["padding_mask"], dtype=x.dtype)
        else:
            bias = attention_bias(inputs["padding_mask"], dtype=x.dtype)
        return x, one_way(bias, self.direction), token_embedding

    def layer_outputs(self, inputs: Mapping[str, Any]) -> list[Any]:
        """The outputs of the embeddings and of each block, `(batch, length, hidden_size)`."""
        x, bias, _ = self.start(inputs)
        outputs = [x]
        for block in self.blocks:
            outputs.append(block(outputs[-1], bias))
        return outputs

    def look_inside(self, inputs: Mapping[str, Any], training: bool = False) -> tuple[list[Any], list[Any]]:
        """What `layer_outputs` returns, and the attention weights of each block, `(batch, heads, length, length)`."""
        x, bias, _ = self.start(inputs, training)
        outputs, attention_weights = [x], []
        for block in self.blocks:
            x, weights = block(outputs[-1], bias, training=training, return_weights=True)
            outputs.append(x)
            attention_weights.append(weights)
        return outputs, attention_weights

    def at_positions(self, inputs: Mapping[str, Any], query_positions: Any) -> tuple[Any, Any]:
        """The last block's output at some positions only, or with `None` at all of them; and the token embedding."""
        x, bias, token_embedding = self.start(inputs)
        for block in self.blocks[:-1]:
            x = block(x, bias)
        return self.blocks[-1](x, bias, query_positions), token_embedding

    def summary_positions(self, inputs: Mapping[str, Any]) -> Any:
        """The position that each example is pooled at: `[CLS]`, or left to right the last token, which sees all others.

        Returns: int32 `(batch, examples)`; for rows that are not packed `(batch, 1)`.
        """
        starts = inputs["example_starts"] if self.packed else ops.zeros_like(inputs["token_ids"][:, :1])
        if self.direction != LEFT_TO_RIGHT:
            return starts
        tokens = ops.cast(inputs["padding_mask"], "bool")
        if not self.packed:
            return ops.maximum(ops.sum(ops.cast(tokens, "int32"), axis=1, keepdims=True) - 1, 0)
        number = ops.cumsum(ops.ones_like(starts), axis=1)  # 1, 2, 3...
        of_example = ops.equal(ops.expand_dims(inputs["example_ids"], 1), ops.expand_dims(number, 2))
        sizes = ops.sum(ops.cast(of_example & ops.expand_dims(tokens, 1), "int32"), axis=2)
        return ops.where(sizes > 0, starts + sizes - 1, 0)
