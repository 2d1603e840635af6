"""BertMaskedLM: predicts the tokens at the masked positions."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.layers.masked_lm_head import MaskedLMHead
from keras_bert_scratch.layers.positions import QueryPositions
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertMaskedLM(OnBackbone, keras.Model):
    """Masked language modelling without next-sentence prediction (Devlin et al. 2019, section 3.1, Task 1).

    Args:
        backbone: BertBackbone. The encoder; its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's, and `mask_positions`, int32 `(batch, predictions)`: where to predict.

    Output: float32 logits `(batch, predictions, vocab_size)`.

    `compile(optimizer)` alone sets the mean cross-entropy over the masked positions, weighted by sample weight, and
    accuracy.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> model = BertMaskedLM(BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64), pooler=False))
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones, "mask_positions": ones[:, :3]}
        >>> tuple(model(inputs).shape)
        (1, 3, 100)
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        # === Layers ===
        policy = backbone.embeddings.dtype_policy
        masked_lm_head = MaskedLMHead(backbone.config, dtype=policy, name="masked_lm")

        # === Functional Model ===
        inputs = backbone_inputs(packed=backbone.packed)
        mask_positions = keras.Input((None,), dtype="int32", name="mask_positions")
        positions, masked, _ = QueryPositions(name="query_positions")(mask_positions)
        encoded, token_embedding = backbone.encode_positions(inputs, positions)
        logits = masked_lm_head(encoded, token_embedding, masked)
        inputs["mask_positions"] = mask_positions
        super().__init__(inputs=inputs, outputs=logits, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": classification_objective()}
        self.masked_lm_head = masked_lm_head
