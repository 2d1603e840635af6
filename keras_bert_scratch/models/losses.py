"""Losses of single positions, rows or numbers, each with a score; objectives weight and sum them."""

from __future__ import annotations

from typing import Any

from keras import ops

from keras_bert_scratch.errors import UserError


def cross_entropy(labels: Any, logits: Any, label_smoothing: float = 0.0) -> tuple[Any, Any]:
    """-log softmax(logits)[label] of every position, and whether no other class has a higher logit.

    Args:
        labels: int `(...)` or `(..., 1)`. The loss is NaN where a label is `classes` or more, or is not an integer.
        logits: float `(..., classes)`.
        label_smoothing: float, default 0.0. The fraction of the label's probability that is spread evenly over all
            classes (Szegedy et al. 2016, section 7).

    Returns: both float32 `(...)`. Values at a negative label are meaningless.

    Raises:
        UserError: the shapes do not fit each other.

    Example:
        >>> loss, right = cross_entropy(ops.array([1, 0]), ops.array([[0.0, 0.0], [0.0, 5.0]]))
        >>> [round(float(value), 3) for value in loss], right.numpy().tolist()
        ([0.693, 5.007], [1.0, 0.0])
    """
    check_label_shape(labels.shape, logits.shape[:-1])
    *shape, classes = ops.shape(logits)  # the classes may be positions, whose number is dynamic
    given = ops.reshape(ops.convert_to_tensor(labels), (-1,))
    labels, logits = ops.cast(given, "int32"), ops.reshape(logits, (-1, classes))
    possible = (labels < classes) & (ops.cast(labels, given.dtype) == given)
    labels = ops.clip(labels, 0, classes - 1)
    loss = ops.where(possible, _log_loss(labels, ops.cast(logits, "float32"), label_smoothing), float("nan"))
    chosen = ops.take_along_axis(logits, ops.expand_dims(labels, -1), axis=-1)[:, 0]
    right = ops.cast(ops.stop_gradient(chosen >= ops.max(logits, axis=-1)), "float32")
    return ops.reshape(loss, shape), ops.reshape(right, shape)


def _log_loss(labels: Any, logits: Any, smoothing: float) -> Any:
    """-sum(p log softmax(logits)) `(n,)` of float32 `(n, classes)`; its gradient is softmax - p.

    p is 1 - smoothing at the label and 0 elsewhere, plus smoothing / classes everywhere. The gradient is hand-written
    for speed: the gradient of a gather is a scatter-add into a tensor as large as the logits.
    """
    at = ops.stack([ops.arange(ops.shape(labels)[0], dtype="int32"), labels], axis=1)

    @ops.custom_gradient
    def loss_of(logits: Any) -> Any:
        shifted = logits - ops.max(logits, axis=-1, keepdims=True)
        chosen = ops.take_along_axis(shifted, ops.expand_dims(labels, -1), axis=-1)[:, 0]
        exponentials = ops.exp(shifted)
        total = ops.sum(exponentials, axis=-1)
        expected = (1 - smoothing) * chosen + smoothing * ops.mean(shifted, axis=-1) if smoothing else chosen

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = args[0] if upstream is None else upstream
            factor = upstream / total
            everywhere = exponentials * ops.expand_dims(factor, -1)
            at_label = ops.exp(chosen) * factor - upstream
            if smoothing:
                spread = upstream * (smoothing / ops.cast(ops.shape(logits)[-1], "float32"))
                everywhere, at_label = (
                    everywhere - ops.expand_dims(spread, -1),
                    at_label + smoothing * upstream - spread,
                )
            return ops.scatter_update(everywhere, at, at_label)

        return ops.log(total) - expected, gradient

    return loss_of(logits)


def sigmoid_cross_entropy(labels: Any, logits: Any) -> tuple[Any, Any]:
    """-log sigmoid(logit) where the label is 1, -log(1 - sigmoid(logit)) where it is 0; and whether each is right.

    Args:
        labels: int, float or bool `(..., classes)`, from 0 to 1.
        logits: float `(..., classes)`. A logit above 0 predicts 1.

    Returns: both float32 `(..., classes)`. Values at a negative label are meaningless.

    Raises:
        UserError: the shapes do not fit each other.

    Example:
        >>> loss, right = sigmoid_cross_entropy(ops.array([1, 0]), ops.array([0.0, 2.0]))
        >>> [round(float(value), 3) for value in loss], right.numpy().tolist()
        ([0.693, 2.127], [0.0, 0.0])
    """
    check_label_shape(labels.shape, logits.shape)
    labels, logits = ops.cast(labels, "float32"), ops.cast(logits, "float32")
    loss = ops.maximum(logits, 0.0) - logits * labels + ops.log1p(ops.exp(-ops.abs(logits)))
    return loss, ops.cast((logits > 0) == (labels > 0.5), "float32")


def squared_error(labels: Any, outputs: Any) -> tuple[Any, Any]:
    """The squared error of every output, as loss and as score.

    Args:
        labels: int or float. `(rows,)` or of the shape of `outputs`.
        outputs: float `(rows, numbers)`.

    Returns: float32 of the shape of `labels`, twice.

    Raises:
        UserError: the shapes do not fit each other.
    """
    check_label_shape(labels.shape, outputs.shape[:-1] if outputs.shape[-1] == 1 else outputs.shape)
    outputs = ops.reshape(ops.cast(outputs, "float32"), ops.shape(labels))
    error = ops.square(outputs - ops.cast(labels, "float32"))
    return error, error


def check_label_shape(labels: Any, expected: Any) -> None:
    """Raises `UserError` unless labels of this shape fit, with or without a last axis of 1; `None` fits any size."""
    labels, expected = tuple(labels), tuple(expected)
    for found in (labels, labels[:-1] if labels[-1:] == (1,) else labels):
        if len(found) == len(expected) and all(
            None in pair or pair[0] == pair[1] for pair in zip(found, expected, strict=True)
        ):
            return
    raise UserError(f"`y`: labels of shape {labels} do not fit; the model needs {expected}")
