"""BertPretrainer: the backbone with both pretraining heads, and the loss that trains them."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.masked_lm_head import MaskedLMHead
from keras_bert_scratch.layers.next_sentence_head import NextSentenceHead
from keras_bert_scratch.layers.positions import QueryPositions
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertPretrainer(OnBackbone, keras.Model):
    """Masked language modelling and next-sentence prediction on one backbone (Devlin et al. 2019, section 3.1).

    Args:
        backbone: BertBackbone. The encoder, with a pooler; its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's, and `mask_positions`, int32 `(batch, predictions)`: where to predict.

    Outputs, a dict of float32 logits: `masked_lm` `(batch, predictions, vocab_size)`; `next_sentence` `(batch, 2)`, for
    packed rows `(batch, max_examples, 2)`.

    `compile(optimizer)` alone sets the paper's loss: the mean over the masked positions plus the mean over the
    sentence pairs, each weighted by sample weight, which is 0 for positions and pairs that do not count.

    Raises:
        UserError: the backbone has no pooler, or is a joined model.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> model = BertPretrainer(BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64)))
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones, "mask_positions": ones[:, :3]}
        >>> tuple(model(inputs)["masked_lm"].shape)
        (1, 3, 100)
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        self.check_pooler(backbone)
        if len(backbone.towers) > 1:
            raise UserError("`backbone`: is a joined model, trained without sentence pairs; use BertMaskedLM")

        # === Layers ===
        policy = backbone.embeddings.dtype_policy
        masked_lm_head = MaskedLMHead(backbone.config, dtype=policy, name="masked_lm")
        next_sentence_head = NextSentenceHead(backbone.config, dtype=policy, name="next_sentence")

        # === Functional Model ===
        inputs = backbone_inputs(packed=backbone.packed)
        mask_positions = keras.Input((None,), dtype="int32", name="mask_positions")
        summaries = backbone.towers[0].summary_positions(inputs)
        positions, masked, summed_up = QueryPositions(name="query_positions")(mask_positions, summaries)
        encoded, token_embedding = backbone.encode_positions(inputs, positions)
        pooled = backbone.pooler(encoded, summed_up) if backbone.packed else backbone.pooler(encoded)
        outputs = {
            "masked_lm": masked_lm_head(encoded, token_embedding, masked),
            "next_sentence": next_sentence_head(pooled),
        }
        inputs["mask_positions"] = mask_positions
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {name: classification_objective(name) for name in outputs}
        self.masked_lm_head = masked_lm_head
        self.next_sentence_head = next_sentence_head
