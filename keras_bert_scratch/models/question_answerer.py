"""BertQuestionAnswerer: where in a passage the answer to a question starts and ends."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.layers.dense import Dense, head_dtype
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertQuestionAnswerer(OnBackbone, keras.Model):
    """Two scores for every position: whether the answer starts or ends there (Devlin et al. 2019, section 4.2).

    No dropout before the scores, as in Google's `run_squad.py`. The question is sentence A, the passage sentence B.

    Args:
        backbone: BertBackbone. The encoder; its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's.

    Outputs, a dict of float32 logits over the positions: `start` `(batch, length)`; `end` `(batch, length)`. The
    question and padding get scores too; whoever searches for the answer must ignore them.

    `compile(optimizer)` alone sets the mean of both cross-entropies, with positions as labels, and both accuracies.

    Raises:
        UserError: the backbone has packed rows.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64), pooler=False)
        >>> ones = np.ones((1, 7), "int32")
        >>> logits = BertQuestionAnswerer(backbone)({"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones})
        >>> tuple(logits["start"].shape), tuple(logits["end"].shape)
        ((1, 7), (1, 7))
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        self.check_not_packed(backbone)

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        span_head = Dense(2, "linear", config.initializer_range, dtype=head_dtype(policy), name="logits")

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = keras.ops.cast(span_head(backbone(inputs)["sequence_output"]), "float32")  # (batch, length, 2)
        outputs = {"start": logits[:, :, 0], "end": logits[:, :, 1]}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {name: classification_objective(name, loss_weight=0.5) for name in ("start", "end")}
        self.span_head = span_head
