"""BertMultipleChoice: which of several choices fits best."""

from __future__ import annotations

from typing import Any

import keras

from keras_bert_scratch.layers.choices import MergeChoices, SplitChoices
from keras_bert_scratch.layers.dense import Dense, head_dtype
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone

MASKED_LOGIT = -1e9  # its probability is 0 in float32, and so is its gradient


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertMultipleChoice(OnBackbone, keras.Model):
    """One score for every question with one of its choices, from the pooled vector (Devlin et al. 2019, section 4.4).

    Args:
        backbone: BertBackbone. The encoder, with a pooler; its weights are shared, not copied.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's, but int32 `(batch, choices, length)`: each row holds a question and one of its choices.
    If a question has fewer choices than another one in the batch, the rows of its missing choices are all padding.

    Output: float32 logits over the choices, `(batch, choices)`; -1e9 for a choice that is all padding.

    `compile(optimizer)` alone sets cross-entropy, with the index of the right choice as the label, and accuracy.

    Raises:
        UserError: the backbone has no pooler, or packed rows.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> model = BertMultipleChoice(BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64)))
        >>> ones = np.ones((1, 4, 7), "int32")
        >>> tuple(model({"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}).shape)
        (1, 4)
    """

    def __init__(self, backbone: BertBackbone, **kwargs: Any) -> None:
        self.check_pooler(backbone)
        self.check_not_packed(backbone)

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        merge_choices = MergeChoices(name="merge_choices")
        dropout = Dropout(config.head_dropout, dtype=policy, name="dropout")
        choice_head = Dense(1, "linear", config.initializer_range, dtype=head_dtype(policy), name="logits")
        split_choices = SplitChoices(dtype=head_dtype(policy), name="split_choices")

        # === Functional Model ===
        inputs = backbone_inputs((None, None))
        rows = {name: merge_choices(value) for name, value in inputs.items()}  # (batch * choices, length)
        scores = choice_head(dropout(backbone.encode_pooled(rows)))  # (batch * choices, 1)
        logits = keras.ops.cast(split_choices(scores, inputs["token_ids"]), "float32")
        is_there = keras.ops.any(keras.ops.cast(inputs["padding_mask"], "bool"), axis=-1)  # (batch, choices)
        super().__init__(inputs=inputs, outputs=keras.ops.where(is_there, logits, MASKED_LOGIT), **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": classification_objective()}
        self.dropout = dropout
        self.choice_head = choice_head
