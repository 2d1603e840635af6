"""BertTokenClassifier: one label for every token, such as the type of named entity that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.crf import Transitions
from keras_bert_scratch.layers.dense import Dense, head_dtype
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.labels import check_label_names
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone
from keras_bert_scratch.models.tag_sequences import MASKED_LOGIT, crf_objective


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTokenClassifier(OnBackbone, keras.Model):
    """Dropout and a linear layer on every position's vector (Devlin et al. 2019, section 5.3 and figure 4d).

    Args:
        backbone: BertBackbone. The encoder; its weights are shared, not copied.
        num_classes: int. Number of classes, at least 2.
        label_names: sequence of str, default empty. Names of the classes, in order.
        crf: bool, default `False`. Whether to put a conditional random field on the logits, in which each label depends
            on the one before (Lample et al. 2016, section 2.2).
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 logits `(batch, length, num_classes)`; with `crf` a dict of these `logits`,
    -1e9 at padding, and of `transitions`, float32 `(batch, num_classes, num_classes)`, the same for all rows, from the
    label of the row to that of the column. `layers.crf.best_tags` finds the most probable sequence.

    `compile(optimizer)` alone sets the mean cross-entropy over the positions that count, and accuracy. A position does
    not count if it is padding, if its label is negative (as for all but the first piece of a word), or if its sample
    weight is 0. With `crf` the loss is -log p of the sequence of all labels of a row that count, divided by their
    number; sample weights are then per row.

    Raises:
        UserError: there are fewer than two classes, not one name per class, or two equal names; or the backbone has
            packed rows.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64), pooler=False)
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> tuple(BertTokenClassifier(backbone, num_classes=9)(inputs).shape)
        (1, 7, 9)
    """

    head_arguments = ("num_classes", "label_names", "crf")

    def __init__(
        self,
        backbone: BertBackbone,
        num_classes: int,
        label_names: Sequence[str] = (),
        crf: bool = False,
        **kwargs: Any,
    ) -> None:
        self.check_not_packed(backbone)
        if num_classes < 2:
            raise UserError(f"`num_classes`: must be at least 2, not {num_classes}")
        label_names = check_label_names(label_names, num_classes)

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        dropout = Dropout(config.head_dropout, dtype=policy, name="dropout")
        head = Dense(num_classes, "linear", config.initializer_range, dtype=head_dtype(policy), name="logits")
        transitions = Transitions(dtype="float32", name="crf") if crf else None

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = head(dropout(backbone(inputs)["sequence_output"]))
        outputs = logits = keras.ops.cast(logits, "float32")
        if transitions is not None:
            is_token = keras.ops.expand_dims(keras.ops.cast(inputs["padding_mask"], "bool"), -1)
            outputs = {"logits": keras.ops.where(is_token, logits, MASKED_LOGIT), "transitions": transitions(logits)}
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {
            "": crf_objective() if crf else classification_objective(counts=lambda inputs: inputs["padding_mask"])
        }
        self.num_classes = int(num_classes)
        self.label_names = label_names
        self.crf = bool(crf)
        self.dropout = dropout
        self.classifier_head = head
        self.transitions = transitions
