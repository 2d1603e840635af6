"""The objective of a conditional random field: the likelihood of each row's sequence of tags as a whole."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras import ops

from keras_bert_scratch.layers.crf import best_tags, sequence_loss
from keras_bert_scratch.layers.positions import gather_positions
from keras_bert_scratch.models.objectives import Objective, classification_objective

MASKED_LOGIT = -1e9  # the logits of padding, by which loss and score recognise it


def crf_objective() -> Objective:
    """-log p(tags of a row) under the model's conditional random field, and accuracy of the most probable sequence.

    The chain of a row consists of its labelled positions in order, such as the first pieces of its words. They are
    gathered first, so that positions in between are not part of it. Loss and accuracy are means over all positions of
    all chains: a row counts by the length of its chain. If all transitions are 0, the loss is softmax cross-entropy.

    Model outputs: `logits` `(batch, length, tags)`, `MASKED_LOGIT` at padding; `transitions` `(batch, tags, tags)`.
    Labels: int `(batch, length)`, negative at positions without a label. Sample weights are per row.
    """

    def lengths(labels: Any, inputs: Any) -> Any:
        is_token = ops.cast(inputs["padding_mask"], "bool")
        return ops.sum(ops.cast(_has_tag(ops.reshape(labels, ops.shape(is_token))) & is_token, "float32"), axis=1)

    return dataclasses.replace(classification_objective("logits"), loss=_loss, counts=lengths, of_classes=False)


def _has_tag(labels: Any) -> Any:
    return ops.cast(labels, "float32") >= 0


def _loss(labels: Any, outputs: Any) -> tuple[Any, Any]:
    """The loss per tag of its chain, and the fraction of right tags, of every row; both float32 `(batch,)`."""
    logits, transitions = outputs["logits"], outputs["transitions"]
    given = ops.reshape(ops.convert_to_tensor(labels), ops.shape(logits)[:2])
    tags = ops.cast(given, "int32")
    in_chain = _has_tag(given) & (logits[:, :, 0] > MASKED_LOGIT / 2)
    possible = ops.all((tags < logits.shape[-1]) & (ops.cast(tags, given.dtype) == given) | ~in_chain, axis=1)

    # Puts the positions of the chain first, in their order.
    length = ops.shape(logits)[1]
    position = ops.arange(length, dtype="int32")
    order = ops.cast(ops.argsort(ops.where(in_chain, position, position + length), axis=1), "int32")
    tags, lengths = ops.take_along_axis(tags, order, axis=1), ops.sum(ops.cast(in_chain, "int32"), axis=1)
    logits = gather_positions(logits, order)
    num_tags = ops.cast(ops.maximum(lengths, 1), "float32")

    loss = sequence_loss(logits, transitions, tags, lengths)
    best = ops.stop_gradient(best_tags(logits, transitions, lengths))
    in_chain = position < ops.expand_dims(lengths, 1)
    right = ops.sum(ops.cast((best == tags) & in_chain, "float32"), axis=1)
    return ops.where(possible, loss, float("nan")) / num_tags, right / num_tags
