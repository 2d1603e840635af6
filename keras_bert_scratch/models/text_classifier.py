"""BertTextClassifier: one label, or one score, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classes, score, several_labels
from keras_bert_scratch.models.pretrained import OnBackbone


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTextClassifier(OnBackbone, keras.Model):
    """Dropout and a linear layer on the pooled vector (Devlin et al. 2019, section 4.1).

    Args:
        backbone: the encoder, with a pooler; its weights are shared, not copied.
        num_classes: how many labels there are; 1 for a score instead, such as how alike two sentences are (STS-B).

    Inputs: the backbone's. Output: float32 logits, or the score itself, `(batch, num_classes)`.

    `compile(optimizer)` alone sets cross-entropy on integer labels, and accuracy; for a score the mean squared error,
    and its root as `rmse`.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64))
        >>> ones = np.ones((1, 7), "int32")
        >>> inputs = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> tuple(BertTextClassifier(backbone, num_classes=3)(inputs).shape)
        (1, 3)
    """

    head_arguments = ("num_classes", "problem_type", "label_names")

    def __init__(
        self,
        backbone: BertBackbone,
        num_classes: int,
        problem_type: str | None = None,
        label_names: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        self.check_pooler(backbone)
        if problem_type is None:
            problem_type = "regression" if num_classes == 1 else "single_label_classification"
        if num_classes < 1:
            raise UserError(f"num_classes: must be at least 2, or 1 for a score, not {num_classes}")

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        dropout = Dropout(config.head_dropout, dtype=policy, name="dropout")
        classifier_head = Dense(num_classes, "linear", config.initializer_range, dtype=policy, name="logits")

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = classifier_head(dropout(backbone(inputs)["pooled_output"]))
        super().__init__(inputs=inputs, outputs=keras.ops.cast(logits, "float32"), **kwargs)

        # === Config ===
        self.backbone = backbone
        objective = {
            "regression": score,
            "single_label_classification": classes,
            "multi_label_classification": several_labels,
        }[problem_type]
        self.objectives = {"": objective()}
        self.problem_type = problem_type
        self.label_names = tuple(label_names)
        self.num_classes = num_classes
        self.dropout = dropout
        self.classifier_head = classifier_head
