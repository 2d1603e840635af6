"""BertBackbone: tokens in, one vector per position and one for the whole input out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import JOINED, LEFT_TO_RIGHT, RIGHT_TO_LEFT, BertConfig
from keras_bert_scratch.layers.pooler import Pooler
from keras_bert_scratch.models.freezing import freeze, frozen_paths
from keras_bert_scratch.models.inputs import NamedInputs
from keras_bert_scratch.models.pretrained import Pretrained
from keras_bert_scratch.models.tower import PACKED_INPUT_NAMES, Tower

INPUT_NAMES = ("token_ids", "segment_ids", "padding_mask")


def backbone_inputs(row_shape: tuple[None, ...] = (None,), packed: bool = False) -> dict[str, Any]:
    """The three inputs of every model, int32 `(batch, length)`, named as in KerasHub; and those of packed rows."""
    names = (*INPUT_NAMES, *PACKED_INPUT_NAMES) if packed else INPUT_NAMES
    return {name: keras.Input(row_shape, dtype="int32", name=name) for name in names}


def _joined(outputs: Sequence[Any]) -> Any:
    """The vectors of several towers at the same positions, concatenated."""
    return outputs[0] if len(outputs) == 1 else ops.concatenate(outputs, axis=-1)


def _pool(pooler: Pooler, towers: Sequence[Tower], outputs: Sequence[Any], inputs: Mapping[str, Any]) -> Any:
    """The pooled vector of each row, or of each of its examples, from the outputs of the towers."""
    positions = [tower.summary_positions(inputs) for tower in towers]
    if len(towers) == 1:
        pooled = pooler(outputs[0], positions[0])
    else:
        summaries = [
            ops.take_along_axis(x, ops.expand_dims(at, 2), axis=1) for x, at in zip(outputs, positions, strict=True)
        ]
        number = ops.cumsum(ops.ones_like(positions[0]), axis=1) - 1
        pooled = pooler(_joined(summaries), number)
    return pooled if towers[0].packed else pooled[:, 0]


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertBackbone(NamedInputs, Pretrained, keras.Model):
    """The BERT encoder (Devlin et al. 2019, section 3), as a functional model.

    Args:
        config: BertConfig. Sizes and rates.
        dtype: str or keras.DTypePolicy, default Keras's own. Policy of the layers, such as `"mixed_bfloat16"`.
        pooler: bool, default `True`. Whether there is a pooled vector; heads that use every position need none.
        packed: bool, default `False`. Whether a row holds several examples, which do not attend to each other (Krell et
            al. 2021, "Efficient Sequence Packing without Cross-contamination"). The weights are the same.
        remat: bool, default `False`. Whether training recomputes the activations of each block in the backward pass
            instead of storing them: up to a third more work, for less memory. The results are the same.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs, a dict of int32 `(batch, length)`: `token_ids`; `segment_ids`, 0 for sentence A and 1 for B; `padding_mask`,
    1 at tokens and 0 at padding. Length is at most `config.max_position_embeddings`.

    Packed rows have two more: `example_ids` `(batch, length)`, 1, 2, 3... at the tokens of the row's first, second...
    example, 0 at padding; `example_starts` `(batch, max_examples)`, the position of each example's `[CLS]`, 0 where
    the row has fewer.

    Outputs, a dict: `sequence_output` `(batch, length, hidden_size)`; with a pooler also `pooled_output`
    `(batch, hidden_size)`, for packed rows `(batch, max_examples, hidden_size)`. The
    vector of an example that the row does not have is meaningless. A left-to-right model is pooled at the last token,
    the only one that attends to all others. With `direction="joined"`, `sequence_output` is the concatenation of both
    networks' vectors, `2 hidden_size` wide.

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
        if config.direction == JOINED:
            directions = {"": LEFT_TO_RIGHT, "reverse_": RIGHT_TO_LEFT}
        else:
            directions = {"": config.direction}
        towers = [Tower(config, direction, prefix, dtype, packed, remat) for prefix, direction in directions.items()]
        pooling = Pooler(config, dtype=dtype, name="pooler") if pooler else None

        # === Functional Model ===
        inputs = backbone_inputs(packed=packed)
        encoded = [tower.layer_outputs(inputs)[-1] for tower in towers]
        outputs = {"sequence_output": _joined(encoded)}
        if pooling is not None:
            outputs["pooled_output"] = _pool(pooling, towers, encoded, inputs)
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.config = config
        self.towers = towers
        self.embeddings = towers[0].embeddings
        self.encoder_blocks = towers[0].blocks
        self.pooler = pooling
        self.packed = packed
        self.remat = remat
        self.dtype_policy = self.embeddings.dtype_policy

    def encode_positions(self, inputs: dict[str, Any], query_positions: Any = None) -> tuple[Any, Any]:
        """The last block's output at some positions only, for heads that use no others; saves most of its work.

        Args:
            inputs: dict of tensors. The backbone's inputs; may be symbolic.
            query_positions: int `(batch, positions)`, or `None` for all.

        Returns: `(batch, positions, hidden_size)`, equal to `sequence_output` at these positions; and the token
        embedding, `(vocab_size, hidden_size)`, for a head that shares it.
        """
        outputs = [tower.at_positions(inputs, query_positions) for tower in self.towers]
        return _joined([x for x, _ in outputs]), outputs[0][1]

    def encode_pooled(self, inputs: dict[str, Any]) -> Any:
        """The pooled vector only, for heads that read no other output; saves most of the last block's work.

        Args:
            inputs: dict of tensors. The backbone's inputs; may be symbolic. The rows must not be packed.

        Returns: `(batch, hidden_size)`, equal to `pooled_output`.
        """
        summaries = [tower.at_positions(inputs, tower.summary_positions(inputs))[0] for tower in self.towers]
        return self.pooler(_joined(summaries))

    def encode_layers(self, inputs: dict[str, Any]) -> list[Any]:
        """The outputs of the embeddings and of each block, for heads that read several layers, or not the last one.

        Args:
            inputs: dict of tensors. The backbone's inputs; may be symbolic.

        Returns: `num_layers + 1` tensors `(batch, length, hidden_size)`.
        """
        of_towers = [tower.layer_outputs(inputs) for tower in self.towers]
        return [_joined(outputs) for outputs in zip(*of_towers, strict=True)]

    def look_inside(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The outputs for a batch, and all layers' outputs and attention weights, for analysis; without dropout.

        In addition to the usual outputs: `layer_outputs`, of the embeddings and of each block, `num_layers + 1` tensors
        `(batch, length, hidden_size)`; `attention_weights`, `num_layers` tensors `(batch, heads, length, length)`.
        """
        of_towers, weights_of_towers = zip(*(tower.look_inside(inputs) for tower in self.towers), strict=True)
        layer_outputs = [_joined(outputs) for outputs in zip(*of_towers, strict=True)]
        outputs = {"sequence_output": layer_outputs[-1]}
        if self.pooler is not None:
            last = [outputs[-1] for outputs in of_towers]
            outputs["pooled_output"] = _pool(self.pooler, self.towers, last, inputs)
        heads = [ops.concatenate(weights, axis=1) for weights in zip(*weights_of_towers, strict=True)]
        return {**outputs, "layer_outputs": layer_outputs, "attention_weights": heads}

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
