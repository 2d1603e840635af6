"""An encoder with a bidirectional LSTM on top, the paper's remedy for one that looks to the left only (section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

import keras_bert_scratch as kbs


class WithBiLSTM:
    """A backbone whose vectors go through an LSTM in each direction, as wide as the backbone together.

    It has what the heads of `kbs` ask a backbone for. The pooled vector is that of the position at which the backbone
    itself is pooled, by the backbone's pooler.

    Args:
        backbone: BertBackbone. With a pooler.
    """

    def __init__(self, backbone: kbs.BertBackbone) -> None:
        self.backbone = backbone
        self.config, self.embeddings, self.pooler = backbone.config, backbone.embeddings, backbone.pooler
        self.lstm = keras.layers.Bidirectional(keras.layers.LSTM(self.config.hidden_size // 2, return_sequences=True))

    @property
    def weights(self) -> list[Any]:
        return [*self.backbone.weights, *self.lstm.weights]

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        vectors = self.backbone(inputs)["sequence_output"]
        vectors = self.lstm(vectors, mask=ops.cast(inputs["padding_mask"], "bool"))
        return {"sequence_output": ops.copy(vectors)}  # without the mask, which heads do not ask for

    def encode_pooled(self, inputs: Mapping[str, Any]) -> Any:
        position = self.backbone.towers[0].summary_positions(inputs)
        return self.pooler(self(inputs)["sequence_output"], position)[:, 0]
