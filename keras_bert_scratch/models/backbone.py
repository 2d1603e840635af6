"""BertBackbone: tokens in, one vector per position and one for the whole input out."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.layers.attention import attention_bias
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.pooler import Pooler
from keras_bert_scratch.models.directory import SavedAsDirectory


def backbone_inputs(row_shape: tuple[None, ...] = (None,)) -> dict[str, Any]:
    """The three inputs of every model here: int32 `(batch, length)`, named as in KerasHub."""
    return {
        name: keras.Input(row_shape, dtype="int32", name=name) for name in ("token_ids", "segment_ids", "padding_mask")
    }


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertBackbone(SavedAsDirectory, keras.Model):
    """The BERT encoder (Devlin et al. 2019, section 3), as a functional model.

    Args:
        config: sizes and rates.
        dtype: Keras dtype policy of the layers, such as `"mixed_bfloat16"`; `None` means Keras's own default.
        pooler: whether there is a pooled vector; heads that read every position do without.

    Inputs, a dict of int32 `(batch, length)`: `token_ids`; `segment_ids`, 0 for sentence A and 1 for B; `padding_mask`,
    1 at tokens and 0 at padding. Length is at most `config.max_position_embeddings`.

    Outputs, a dict: `sequence_output` `(batch, length, hidden_size)`; with a pooler also `pooled_output`
    `(batch, hidden_size)`.

    Example:
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64))
        >>> ones = np.ones((1, 7), "int32")
        >>> outputs = backbone({"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones})
        >>> tuple(outputs["sequence_output"].shape), tuple(outputs["pooled_output"].shape)
        ((1, 7, 64), (1, 64))
    """

    def __init__(self, config: BertConfig, dtype: Any = None, pooler: bool = True, **kwargs: Any) -> None:
        # === Layers ===
        embeddings = BertEmbeddings(config, dtype=dtype, name="embeddings")
        encoder_blocks = [
            EncoderBlock(config, dtype=dtype, name=f"encoder_block_{index}") for index in range(config.num_layers)
        ]
        pooling = Pooler(config, dtype=dtype, name="pooler") if pooler else None

        # === Functional Model ===
        inputs = backbone_inputs()
        x = embeddings(inputs["token_ids"], inputs["segment_ids"])
        bias = attention_bias(inputs["padding_mask"], dtype=x.dtype)
        for block in encoder_blocks:
            x = block(x, bias)
        outputs = {"sequence_output": x}
        if pooling is not None:
            outputs["pooled_output"] = pooling(x)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.config = config
        self.embeddings = embeddings
        self.encoder_blocks = encoder_blocks
        self.pooler = pooling

    def look_inside(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs for a batch with what led to them, for plots and study; nothing is dropped out.

        Beside the usual outputs: `layer_outputs`, what the embeddings and each block gave, `num_layers + 1` of
        `(batch, length, hidden_size)`; `attention_weights`, `num_layers` of `(batch, heads, length, length)`.
        """
        layer_outputs = [self.embeddings(inputs["token_ids"], inputs["segment_ids"])]
        bias = attention_bias(inputs["padding_mask"], dtype=layer_outputs[0].dtype)
        attention_weights = []
        for block in self.encoder_blocks:
            x, weights = block(layer_outputs[-1], bias, return_weights=True)
            layer_outputs.append(x)
            attention_weights.append(weights)
        outputs = {"sequence_output": layer_outputs[-1]}
        if self.pooler is not None:
            outputs["pooled_output"] = self.pooler(layer_outputs[-1])
        return {**outputs, "layer_outputs": layer_outputs, "attention_weights": attention_weights}

    def get_config(self) -> dict[str, Any]:
        return {"config": self.config.to_dict(), "pooler": self.pooler is not None, "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> BertBackbone:
        return cls(**{**config, "config": BertConfig.from_dict(config["config"])})
