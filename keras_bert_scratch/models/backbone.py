"""BertBackbone: tokens in, one vector per position and one for the whole input out."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention import attention_bias, packed_attention_bias
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.pooler import Pooler
from keras_bert_scratch.models.pretrained import Pretrained

INPUT_NAMES = ("token_ids", "segment_ids", "padding_mask")
PACKED_INPUT_NAMES = ("example_ids", "example_starts")


def backbone_inputs(row_shape: tuple[None, ...] = (None,), packed: bool = False) -> dict[str, Any]:
    """The three inputs of every model here, int32 `(batch, length)`, named as in KerasHub; and those of packed rows."""
    names = (*INPUT_NAMES, *PACKED_INPUT_NAMES) if packed else INPUT_NAMES
    return {name: keras.Input(row_shape, dtype="int32", name=name) for name in names}


def _embed(embeddings: BertEmbeddings, inputs: dict[str, Any], packed: bool) -> tuple[Any, Any]:
    """What the first block takes: the embedded tokens, and the bias that says who looks at whom."""
    if not packed:
        x = embeddings(inputs["token_ids"], inputs["segment_ids"])
        return x, attention_bias(inputs["padding_mask"], dtype=x.dtype)
    x = embeddings(inputs["token_ids"], inputs["segment_ids"], inputs["example_ids"], inputs["example_starts"])
    return x, packed_attention_bias(inputs["example_ids"], inputs["padding_mask"], dtype=x.dtype)


def _pool(pooler: Pooler, x: Any, inputs: dict[str, Any], packed: bool) -> Any:
    """The vector of each row's `[CLS]`, or of each example's."""
    return pooler(x, inputs["example_starts"]) if packed else pooler(x)


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertBackbone(Pretrained, keras.Model):
    """The BERT encoder (Devlin et al. 2019, section 3), as a functional model.

    Args:
        config: sizes and rates.
        dtype: Keras dtype policy of the layers, such as `"mixed_bfloat16"`; `None` means Keras's own default.
        pooler: whether there is a pooled vector; heads that read every position do without.
        packed: whether a row holds several examples, which then do not see each other (Krell et al. 2021, "Efficient
            Sequence Packing without Cross-contamination"). It is how rows are fed: the weights are the same.
        remat: whether training works each block out again in the backward pass instead of keeping all that it made:
            up to a third more work, for less memory. The results are the same.

    Inputs, a dict of int32 `(batch, length)`: `token_ids`; `segment_ids`, 0 for sentence A and 1 for B; `padding_mask`,
    1 at tokens and 0 at padding. Length is at most `config.max_position_embeddings`.

    Packed rows have two more: `example_ids` `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second...
    example, 0 at padding; `example_starts` `(batch, max_examples)`, the position of each example's `[CLS]`, 0 where
    the row has fewer.

    Outputs, a dict: `sequence_output` `(batch, length, hidden_size)`; with a pooler also `pooled_output`
    `(batch, hidden_size)`, of packed rows `(batch, max_examples, hidden_size)`. What stands there for an example that
    the row does not have means nothing.

    Example:
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64))
        >>> ones = np.ones((1, 7), "int32")
        >>> outputs = backbone({"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones})
        >>> tuple(outputs["sequence_output"].shape), tuple(outputs["pooled_output"].shape)
        ((1, 7, 64), (1, 64))
    """

    def __init__(
        self,
        config: BertConfig,
        dtype: Any = None,
        pooler: bool = True,
        packed: bool = False,
        remat: bool = False,
        **kwargs: Any,
    ) -> None:
        # === Layers ===
        embeddings = BertEmbeddings(config, dtype=dtype, name="embeddings")
        encoder_blocks = [
            EncoderBlock(config, remat, dtype=dtype, name=f"encoder_block_{index}")
            for index in range(config.num_layers)
        ]
        pooling = Pooler(config, dtype=dtype, name="pooler") if pooler else None

        # === Functional Model ===
        inputs = backbone_inputs(packed=packed)
        x, bias = _embed(embeddings, inputs, packed)
        for block in encoder_blocks:
            x = block(x, bias)
        outputs = {"sequence_output": x}
        if pooling is not None:
            outputs["pooled_output"] = _pool(pooling, x, inputs, packed)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.config = config
        self.embeddings = embeddings
        self.encoder_blocks = encoder_blocks
        self.pooler = pooling
        self.packed = packed

    def vectors_at(self, inputs: dict[str, Any], places: Any) -> Any:
        """The last block's output at some places, for heads that read no others; the last block works for these alone.

        Args:
            inputs: the backbone's, also symbolic.
            places: int `(batch, places)`.

        Returns: `(batch, places, hidden_size)`, equal to `sequence_output` there.
        """
        x, bias = _embed(self.embeddings, inputs, self.packed)
        for block in self.encoder_blocks[:-1]:
            x = block(x, bias)
        return self.encoder_blocks[-1](x, bias, places)

    def look_inside(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs for a batch with what led to them, for plots and study; nothing is dropped out.

        Beside the usual outputs: `layer_outputs`, what the embeddings and each block gave, `num_layers + 1` of
        `(batch, length, hidden_size)`; `attention_weights`, `num_layers` of `(batch, heads, length, length)`.
        """
        embedded, bias = _embed(self.embeddings, inputs, self.packed)
        layer_outputs, attention_weights = [embedded], []
        for block in self.encoder_blocks:
            x, weights = block(layer_outputs[-1], bias, return_weights=True)
            layer_outputs.append(x)
            attention_weights.append(weights)
        outputs = {"sequence_output": layer_outputs[-1]}
        if self.pooler is not None:
            outputs["pooled_output"] = _pool(self.pooler, layer_outputs[-1], inputs, self.packed)
        return {**outputs, "layer_outputs": layer_outputs, "attention_weights": attention_weights}

    def get_config(self) -> dict[str, Any]:
        pooler = self.pooler is not None
        return {"config": self.config.to_dict(), "pooler": pooler, "packed": self.packed, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BertBackbone:
        return cls(**{**config, "config": BertConfig.from_dict(config["config"])})
