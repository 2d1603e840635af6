"""BertTextEmbedder: a vector for each text, or for each of its tokens, from any layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_bert_scratch.checkpoints.checkpoint import Embedding
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.text_pooling import POOLINGS, pool_tokens, unit_length
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTextEmbedder(OnBackbone, keras.Model):
    """Pools the tokens' vectors to one vector per text (Reimers & Gurevych 2019, "Sentence-BERT", section 3).

    It has no weights of its own.

    Args:
        backbone: BertBackbone. The encoder; its weights are shared, not copied.
        pooling: str, default `"mean"`. How the tokens' vectors, without padding, are pooled: `"mean"`, `"max"`, or
            `"cls"`, the vector of `[CLS]`; `"none"` returns them unpooled, as features for another program (Devlin et
            al. 2019, section 5.3).
        normalize: bool, default `True`. Whether to scale pooled vectors to length 1. Unpooled vectors are not scaled.
        layer_numbers: sequence of int or `None`, default `(-1,)`. The layers: 0 is the output of the embeddings, 1 that
            of the first block, -1 that of the last; `None` means all. Blocks above the highest layer are not computed.
        max_length: int or `None`, default `None`. Maximum tokens per text, with `[CLS]` and `[SEP]`; `None` for the
            backbone's positions. It is saved with the model, for programs that tokenize its texts, such as `--task
            embed`; the model itself does not shorten its inputs.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 `(batch, hidden_size)`; for several layers `(batch, layers, hidden_size)`;
    without pooling `(batch, length, hidden_size)` or `(batch, length, layers, hidden_size)`.

    It has no objective: `compile` requires a loss.

    Raises:
        UserError: `pooling` is unknown, `max_length` is below 3, or the backbone has no such layer or packed rows.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64), pooler=False)
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> tuple(BertTextEmbedder(backbone)(inputs).shape)
        (1, 64)
        >>> tuple(BertTextEmbedder(backbone, pooling="none", layer_numbers=(-1, -2))(inputs).shape)
        (1, 7, 2, 64)
    """

    head_arguments = ("pooling", "normalize", "layer_numbers", "max_length")

    def __init__(
        self,
        backbone: BertBackbone,
        pooling: str = "mean",
        normalize: bool = True,
        layer_numbers: Sequence[int] | None = (-1,),
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.check_not_packed(backbone)
        if pooling not in POOLINGS:
            raise UserError(f"`pooling`: {pooling!r} is unknown; choose one of {', '.join(POOLINGS)}")
        if max_length is not None and (type(max_length) is not int or max_length < 3):
            raise UserError(f"`max_length`: must be a whole number of at least 3, or None, not {max_length!r}")
        positions = positions_of(layer_numbers, backbone.config)

        # === Functional Model ===
        inputs = backbone_inputs()
        outputs = backbone.encode_layers(inputs)  # layers that are not read below are no part of the model
        vectors = [pool_tokens(outputs[position], inputs["padding_mask"], pooling) for position in positions]
        vector = vectors[0] if len(vectors) == 1 else keras.ops.stack(vectors, axis=-2)
        if normalize and pooling != "none":
            vector = unit_length(vector)
        super().__init__(inputs=inputs, outputs=vector, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = backbone.embeddings.dtype_policy
        self.objectives = {}
        self.pooling = pooling
        self.normalize = bool(normalize)
        self.layer_numbers = None if layer_numbers is None else tuple(layer_numbers)
        self.max_length = max_length

    @property
    def embedding(self) -> Embedding:
        """Its settings, which are saved with the weights."""
        return Embedding(self.pooling, self.normalize, self.layer_numbers, self.max_length)


def positions_of(layer_numbers: Sequence[int] | None, config: BertConfig) -> list[int]:
    """The layers as indices, counted upwards from 0, the embeddings.

    Raises:
        UserError: there is no such layer.

    Example:
        >>> positions_of((-1, 0), BertConfig(num_layers=4)), positions_of(None, BertConfig(num_layers=2))
        ([4, 0], [0, 1, 2])
    """
    every = range(config.num_layers + 1)
    if layer_numbers is None:
        return list(every)
    wrong = [number for number in layer_numbers if number not in range(-len(every), len(every))]
    if wrong or not layer_numbers:
        raise UserError(
            f"`layer_numbers`: has {wrong[0] if wrong else 'none'}; the model's layers are 0 (the embeddings) to "
            f"{config.num_layers}, or, counted from the last one, {-1} to {-len(every)}"
        )
    return [every[number] for number in layer_numbers]
