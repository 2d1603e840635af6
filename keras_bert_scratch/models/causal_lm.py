"""BertCausalLM: every position predicts the next token, as in GPT, which BERT argues against."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import LEFT_TO_RIGHT, RIGHT_TO_LEFT
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.masked_lm_head import MaskedLMHead
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertCausalLM(OnBackbone, keras.Model):
    """A one-directional language model with BERT's blocks (Radford et al. 2018, section 3.1; post-LN, as in BERT).

    Args:
        backbone: BertBackbone. With `direction="left-to-right"`, each position predicts the token after it; with
            `"right-to-left"`, the token before it. Its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 logits `(batch, length, vocab_size)`.

    `compile(optimizer)` alone sets the mean cross-entropy over the positions, weighted by sample weight, and accuracy.

    Raises:
        UserError: the backbone attends to both sides, or is a joined model.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> config = BertConfig(vocab_size=100, num_layers=2, hidden_size=64, direction="left-to-right")
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> tuple(BertCausalLM(BertBackbone(config, pooler=False))(inputs).shape)
        (1, 7, 100)
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        if backbone.config.direction not in (LEFT_TO_RIGHT, RIGHT_TO_LEFT):
            raise UserError(
                "`backbone`: attends to both sides and so sees the tokens it predicts; build it from a config with "
                "`direction='left-to-right'` or `'right-to-left'`"
            )

        # === Layers ===
        policy = backbone.embeddings.dtype_policy
        next_token_head = MaskedLMHead(backbone.config, dtype=policy, name="masked_lm")

        # === Functional Model ===
        inputs = backbone_inputs(packed=backbone.packed)
        encoded, token_embedding = backbone.encode_positions(inputs)
        super().__init__(inputs=inputs, outputs=next_token_head(encoded, token_embedding), **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": classification_objective()}
        self.next_token_head = next_token_head

    def empty_past(self, batch: Any) -> list[tuple[Any, Any]]:
        """For each block, keys and values of zero positions."""
        return [block.attention.empty_past(batch) for block in self.backbone.encoder_blocks]

    def step(self, token_ids: Any, position: Any, past: list[tuple[Any, Any]]) -> tuple[Any, list[tuple[Any, Any]]]:
        """Feeds one more token of each text to a left-to-right model; returns the logits of the token after it.

        Args:
            token_ids: int `(batch,)`. The tokens at `position`.
            position: int scalar, from 0.
            past: for each block, from `empty_past` or the previous step.

        Returns: float32 `(batch, vocab_size)`, and the new `past`.
        """
        x, new_past = self.backbone.embeddings.step(ops.expand_dims(token_ids, 1), position), []
        for block, of_block in zip(self.backbone.encoder_blocks, past, strict=True):
            x, of_block = block.step(x, of_block)
            new_past.append(of_block)
        return self.next_token_head(ops.squeeze(x, 1), self.backbone.embeddings.token_embedding), new_past
