"""Objectives of a student: to reproduce its teacher's outputs (Hinton et al. 2015, "Distilling the Knowledge in a
Neural Network")."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_bert_scratch.models.objectives import Objective

# The teacher's logit of what cannot be chosen, such as padding: its probability is 0.
PADDING_LOGIT = -1e4


def distillation_objective(output: str, temperature: float, loss_weight: float = 1.0) -> Objective:
    """T^2 KL(p, q), p = softmax(teacher / T) and q = softmax(student / T): the mean over positions.

    The temperature T makes the gradient of the logits smaller by T^2; the factor T^2 restores its scale (Hinton et al.
    2015, section 2). Labels are the teacher's logits. The score is how often the teacher and the student predict the
    same class.

    Args:
        output: str. Name of the student's output with the logits, `(..., classes)`.
        temperature: float above 0. The T.
        loss_weight: float, default 1.0. Factor of this loss in the student's total loss.

    Example:
        >>> objective = distillation_objective("logits", temperature=2.0)
        >>> loss, same = objective.loss(ops.array([[2.0, 0.0]]), {"logits": ops.array([[0.0, 0.0]])})
        >>> round(float(loss[0]), 4), float(same[0])
        (0.4438, 1.0)
    """

    def loss(teacher: Any, outputs: Any) -> tuple[Any, Any]:
        student = ops.cast(outputs[output], "float32")
        log_p, log_q = (ops.log_softmax(logits / temperature, axis=-1) for logits in (teacher, student))
        divergence = ops.sum(ops.exp(log_p) * (log_p - log_q), axis=-1)
        same = ops.equal(ops.argmax(teacher, axis=-1), ops.argmax(student, axis=-1))
        return temperature**2 * divergence, ops.cast(same, "float32")

    return Objective(
        loss,
        score="agreement",
        loss_weight=loss_weight,
        counts=lambda labels, inputs: ops.ones(ops.shape(labels)[:-1]),
    )


def multi_label_distillation_objective(output: str, temperature: float) -> Objective:
    """Like `distillation_objective`, but for each label separately, with sigmoids: the mean over labels and rows."""

    def loss(teacher: Any, outputs: Any) -> tuple[Any, Any]:
        student = ops.cast(outputs[output], "float32")
        t, s = teacher / temperature, student / temperature
        p = ops.sigmoid(t)
        divergence = p * (ops.log_sigmoid(t) - ops.log_sigmoid(s))
        divergence = divergence + (1 - p) * (ops.log_sigmoid(-t) - ops.log_sigmoid(-s))
        return temperature**2 * divergence, ops.cast(ops.equal(teacher > 0, student > 0), "float32")

    return Objective(loss, score="agreement", counts=lambda labels, inputs: ops.ones_like(labels))


def regression_distillation_objective(output: str) -> Objective:
    """Mean squared difference from the teacher's scores, over scores and rows; the score is its root, `rmse`."""

    def loss(teacher: Any, outputs: Any) -> tuple[Any, Any]:
        distance = ops.square(ops.cast(outputs[output], "float32") - teacher)
        return distance, distance

    return Objective(
        loss,
        score="rmse",
        direction="min",
        finish=lambda mean: mean**0.5,
        counts=lambda labels, inputs: ops.ones_like(labels),
    )


def per_token_objective(output: str, loss_weight: float) -> Objective:
    """The model's own output `(rows, length)` as a loss at each position: the mean over tokens, without padding.

    The labels, one per row, are ignored.
    """

    def loss(labels: Any, outputs: Any) -> tuple[Any, Any]:
        return outputs[output], outputs[output]

    return Objective(
        loss,
        score="distance",
        direction="min",
        loss_weight=loss_weight,
        counts=lambda labels, inputs: ops.cast(ops.cast(inputs["padding_mask"], "bool"), "float32"),
    )
