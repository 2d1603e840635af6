"""BertTextClassifier: a label, several labels or a score for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_bert_scratch.layers.dense import Dense
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.labels import (
    MULTI_LABEL,
    REGRESSION,
    SINGLE_LABEL,
    check_label_names,
    check_problem_type,
)
from keras_bert_scratch.models.objectives import classes, labels_of_rows, numbers
from keras_bert_scratch.models.pretrained import OnBackbone

OBJECTIVES = {REGRESSION: numbers, SINGLE_LABEL: classes, MULTI_LABEL: labels_of_rows}


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTextClassifier(OnBackbone, keras.Model):
    """Dropout and a linear layer on the pooled vector (Devlin et al. 2019, section 4.1).

    Args:
        backbone: BertBackbone. The encoder, with a pooler; its weights are shared, not copied.
        num_classes: int. How many classes there are; 1 for a score, such as how alike two sentences are (STS-B).
        problem_type: str or `None`, default `None`. Hugging Face's word: `"single_label_classification"`,
            `"multi_label_classification"` (each class by itself, yes or no) or `"regression"` (numbers, one or
            several); `None` means regression if `num_classes` is 1, else a single label.
        label_names: sequence of str, default empty. What the classes are called, in their order.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 logits, or the scores themselves, `(batch, num_classes)`.

    `compile(optimizer)` alone sets, by problem type: cross-entropy on integer labels, and accuracy; sigmoid
    cross-entropy on labels `(batch, num_classes)`, 0 or 1, the mean over classes and rows, and accuracy per label;
    squared error, the mean over numbers and rows, and its root as `rmse`. A negative label of a class does not count.

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
        problem_type = check_problem_type(problem_type, num_classes)
        label_names = check_label_names(label_names, num_classes)

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        dropout = Dropout(config.head_dropout, dtype=policy, name="dropout")
        classifier_head = Dense(num_classes, "linear", config.initializer_range, dtype=policy, name="logits")

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = classifier_head(dropout(backbone.encode_pooled(inputs)))
        super().__init__(inputs=inputs, outputs=keras.ops.cast(logits, "float32"), **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": OBJECTIVES[problem_type]()}
        self.num_classes = int(num_classes)
        self.problem_type = problem_type
        self.label_names = label_names
        self.dropout = dropout
        self.classifier_head = classifier_head
