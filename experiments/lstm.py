"""An encoder with a bidirectional LSTM on top, the paper's remedy for a left-to-right encoder (section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

import keras_bert_scratch as kbs


class WithBiLSTM:
    """A backbone with a bidirectional LSTM on top; both directions together have the backbone's hidden size.

    It has the interface that the heads of `kbs` need. The pooled vector is that of the position where the backbone
    itself is pooled, through the backbone's pooler.

    Args:
        backbone: BertBackbone. With a pooler.
    """

    def __init__(self, backbone: kbs.BertBackbone) -> None:
        self.backbone = backbone
        self.config, self.embeddings, self.pooler = backbone.config, backbone.embeddings, backbone.pooler
        self.packed = False
        self.lstm = keras.layers.Bidirectional(keras.layers.LSTM(self.config.hidden_size // 2, return_sequences=True))

    @property
    def weights(self) -> list[Any]:
        return [*self.backbone.weights, *self.lstm.weights]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        vectors = self.backbone(inputs)["sequence_output"]
        vectors = self.lstm(vectors, mask=ops.cast(inputs["padding_mask"], "bool"))
        return {"sequence_output": ops.copy(vectors)}  # drops Keras's mask, which heads do not expect

    def encode_pooled(self, inputs: Mapping[str, Any]) -> Any:
        position = self.backbone.towers[0].summary_positions(inputs)
        return self.pooler(self(inputs)["sequence_output"], position)[:, 0]
