"""BertBackbone: tokens in, one vector per position and one for the whole input out."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention_bias import attention_bias, packed_attention_bias
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.pooler import Pooler
from keras_bert_scratch.models.freezing import freeze, frozen_paths
from keras_bert_scratch.models.inputs import NamedInputs
from keras_bert_scratch.models.pretrained import Pretrained

INPUT_NAMES = ("token_ids", "segment_ids", "padding_mask")
PACKED_INPUT_NAMES = ("example_ids", "example_starts")


def backbone_inputs(row_shape: tuple[None, ...] = (None,), packed: bool = False) -> dict[str, Any]:
    """The three inputs of every model here, int32 `(batch, length)`, named as in KerasHub; and those of packed rows."""
    names = (*INPUT_NAMES, *PACKED_INPUT_NAMES) if packed else INPUT_NAMES
    return {name: keras.Input(row_shape, dtype="int32", name=name) for name in names}


def _embed(embeddings: BertEmbeddings, inputs: dict[str, Any], packed: bool) -> tuple[Any, Any, Any]:
    """What the first block takes, the embedded tokens and the attention bias; and the token embedding."""
    ids = [inputs[name] for name in ("token_ids", "segment_ids", *(PACKED_INPUT_NAMES if packed else ()))]
    x, token_embedding = embeddings(*ids)
    if packed:
        bias = packed_attention_bias(inputs["example_ids"], inputs["padding_mask"], dtype=x.dtype)
    else:
        bias = attention_bias(inputs["padding_mask"], dtype=x.dtype)
    return x, bias, token_embedding


def _pool(pooler: Pooler, x: Any, inputs: dict[str, Any], packed: bool) -> Any:
    """The vector of each row's `[CLS]`, or of each example's."""
    return pooler(x, inputs["example_starts"]) if packed else pooler(x)


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertBackbone(NamedInputs, Pretrained, keras.Model):
    """The BERT encoder (Devlin et al. 2019, section 3), as a functional model.

    Args:
        config: BertConfig. Sizes and rates.
        dtype: str or keras.DTypePolicy, default Keras's own. Policy of the layers, such as `"mixed_bfloat16"`.
        pooler: bool, default `True`. Whether there is a pooled vector; heads that use every position do without.
        packed: bool, default `False`. Whether a row holds several examples, which do not attend to each other (Krell et
            al. 2021, "Efficient Sequence Packing without Cross-contamination"). The weights are the same.
        remat: bool, default `False`. Whether training computes the activations of each block again in the backward pass
            instead of keeping them: up to a third more work, for less memory. The results are the same.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs, a dict of int32 `(batch, length)`: `token_ids`; `segment_ids`, 0 for sentence A and 1 for B; `padding_mask`,
    1 at tokens and 0 at padding. Length is at most `config.max_position_embeddings`.

    Packed rows have two more: `example_ids` `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second...
    example, 0 at padding; `example_starts` `(batch, max_examples)`, the position of each example's `[CLS]`, 0 where
    the row has fewer.

    Outputs, a dict: `sequence_output` `(batch, length, hidden_size)`; with a pooler also `pooled_output`
    `(batch, hidden_size)`, of packed rows `(batch, max_examples, hidden_size)`. The
    vector of an example that the row does not have means nothing.

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
        x, bias, _ = _embed(embeddings, inputs, packed)
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
        self.remat = remat
        self.dtype_policy = embeddings.dtype_policy

    def encode_positions(self, inputs: dict[str, Any], query_positions: Any) -> tuple[Any, Any]:
        """The last block's output at some positions alone, for heads that use no others; it saves that block's work.

        Args:
            inputs: dict of tensors. The backbone's, also symbolic.
            query_positions: int `(batch, positions)`.

        Returns: `(batch, positions, hidden_size)`, equal to `sequence_output` at these positions; and the token
        embedding, `(vocab_size, hidden_size)`, for a head that shares it.
        """
        x, bias, token_embedding = _embed(self.embeddings, inputs, self.packed)
        for block in self.encoder_blocks[:-1]:
            x = block(x, bias)
        return self.encoder_blocks[-1](x, bias, query_positions), token_embedding

    def encode_pooled(self, inputs: dict[str, Any]) -> Any:
        """The pooled vector alone, for heads that read no other; it saves most of the last block's work.

        Args:
            inputs: dict of tensors. The backbone's, also symbolic; of rows that are not packed.

        Returns: `(batch, hidden_size)`, equal to `pooled_output`.
        """
        first, _ = self.encode_positions(inputs, keras.ops.zeros_like(inputs["token_ids"][:, :1]))
        return self.pooler(first)

    def encode_layers(self, inputs: dict[str, Any]) -> list[Any]:
        """The outputs of the embeddings and of each block, for heads that read several or none of the last.

        Args:
            inputs: dict of tensors. The backbone's, also symbolic.

        Returns: `num_layers + 1` of `(batch, length, hidden_size)`.
        """
        x, bias, _ = _embed(self.embeddings, inputs, self.packed)
        outputs = [x]
        for block in self.encoder_blocks:
            outputs.append(block(outputs[-1], bias))
        return outputs

    def look_inside(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs for a batch with the layers' outputs and attention weights, for plots and study; no dropout.

        Beside the usual outputs: `layer_outputs`, of the embeddings and of each block, `num_layers + 1` of
        `(batch, length, hidden_size)`; `attention_weights`, `num_layers` of `(batch, heads, length, length)`.
        """
        embedded, bias, _ = _embed(self.embeddings, inputs, self.packed)
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
        return {
            "config": self.config.to_dict(),
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "pooler": self.pooler is not None,
            "packed": self.packed,
            "remat": self.remat,
            "name": self.name,
            "frozen": frozen_paths(self),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BertBackbone:
        frozen = config.get("frozen", ())
        config = {name: value for name, value in config.items() if name != "frozen"}
        return freeze(cls(**{**config, "config": BertConfig.from_dict(config["config"])}), frozen)
