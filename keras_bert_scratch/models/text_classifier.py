"""BertTextClassifier: a label, several labels or a score for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_bert_scratch.layers.dense import Dense, head_dtype
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.labels import (
    MULTI_LABEL,
    REGRESSION,
    SINGLE_LABEL,
    check_label_names,
    check_problem_type,
)
from keras_bert_scratch.models.objectives import classification_objective, multi_label_objective, regression_objective
from keras_bert_scratch.models.pretrained import OnBackbone

OBJECTIVES = {
    REGRESSION: regression_objective,
    SINGLE_LABEL: classification_objective,
    MULTI_LABEL: multi_label_objective,
}


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTextClassifier(OnBackbone, keras.Model):
    """Dropout and a linear layer on the pooled vector (Devlin et al. 2019, section 4.1).

    Args:
        backbone: BertBackbone. The encoder, with a pooler; its weights are shared, not copied.
        num_classes: int. Number of classes; 1 for a score, such as the similarity of two sentences (STS-B).
        problem_type: str or `None`, default `None`. Hugging Face's term: `"single_label_classification"`,
            `"multi_label_classification"` (each class separately, yes or no) or `"regression"` (one or several
            numbers); `None` means regression if `num_classes` is 1, else a single label.
        label_names: sequence of str, default empty. Names of the classes, in order.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's. Output: float32 logits, or the scores themselves, `(batch, num_classes)`.
    `compile(optimizer)` alone sets loss and metric by problem type. Single label: cross-entropy on integer labels, and
    accuracy. Multi-label: sigmoid cross-entropy on labels `(batch, num_classes)`, 0 or 1, and `label_accuracy`. Both
    ignore negative labels. Regression: squared error, and its root as `rmse`. All are means over rows and outputs.

    Raises:
        UserError: the backbone has no pooler or has packed rows; number, names and problem type of classes do not fit.

    Example:
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64))
        >>> inputs = {name: np.ones((1, 7), "int32") for name in ("token_ids", "segment_ids", "padding_mask")}
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
        self.check_not_packed(backbone)
        problem_type = check_problem_type(problem_type, num_classes)
        label_names = check_label_names(label_names, num_classes)

        # === Layers ===
        policy, config = backbone.embeddings.dtype_policy, backbone.config
        dropout = Dropout(config.head_dropout, dtype=policy, name="dropout")
        head = Dense(num_classes, "linear", config.initializer_range, dtype=head_dtype(policy), name="logits")

        # === Functional Model ===
        inputs = backbone_inputs()
        logits = head(dropout(backbone.encode_pooled(inputs)))
        super().__init__(inputs=inputs, outputs=keras.ops.cast(logits, "float32"), **kwargs)

        # === Config ===
        self.backbone = backbone
        self.dtype_policy = policy
        self.objectives = {"": OBJECTIVES[problem_type]()}
        self.num_classes, self.problem_type, self.label_names = int(num_classes), problem_type, label_names
        self.dropout, self.classifier_head = dropout, head
