"""BertNextSentencePredictor: does sentence B follow sentence A?"""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.layers.next_sentence_head import NextSentenceHead
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertNextSentencePredictor(OnBackbone, keras.Model):
    """Next-sentence prediction without masked language modelling (Devlin et al. 2019, section 3.1, Task 2).

    Args:
        backbone: BertBackbone. The encoder, with a pooler; its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 logits `(batch, 2)`, class 0 "B is next", class 1 "B is random".

    `compile(optimizer)` alone sets cross-entropy on integer labels, and accuracy.

    Raises:
        UserError: the backbone has no pooler, or packed rows.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> model = BertNextSentencePredictor(BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64)))
        >>> ones = np.ones((1, 7), "int32")
        >>> tuple(model({"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}).shape)
        (1, 2)
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        self.check_pooler(backbone)
        self.check_not_packed(backbone)

        # === Layers ===
        policy = backbone.embeddings.dtype_policy
        next_sentence_head = NextSentenceHead(backbone.config, dtype=policy, name="next_sentence")

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = next_sentence_head(backbone.encode_pooled(inputs))
        super().__init__(inputs=inputs, outputs=logits, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": classification_objective()}
        self.next_sentence_head = next_sentence_head
