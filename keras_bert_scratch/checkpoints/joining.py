"""Joining two one-way models at the top, as ELMo does (Peters et al. 2018; Devlin et al. 2019, figure 3)."""

from __future__ import annotations

from keras_bert_scratch.checkpoints.architectures import encoder_shapes, reversed_name
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint
from keras_bert_scratch.config import JOINED, LEFT_TO_RIGHT, RIGHT_TO_LEFT
from keras_bert_scratch.errors import UserError


def join(forward: Checkpoint, backward: Checkpoint) -> Checkpoint:
    """A backbone that consists of both encoders, side by side; heads are left out, as each reads only one encoder.

    Args:
        forward: Checkpoint. A left-to-right model.
        backward: Checkpoint. A right-to-left model of the same sizes and vocabulary.

    Raises:
        UserError: a model has another direction, or they do not fit each other.
    """
    for which, checkpoint, direction in (("first", forward, LEFT_TO_RIGHT), ("second", backward, RIGHT_TO_LEFT)):
        if checkpoint.config.direction != direction:
            raise UserError(
                f"`join`: the {which} model reads {checkpoint.config.direction}; give one that reads {direction}"
            )
    if backward.config.replace(direction=LEFT_TO_RIGHT) != forward.config:
        raise UserError("`join`: the models have different sizes or rates; give two that differ only in direction")
    vocabularies = [one.vocabulary and one.vocabulary.sha256 for one in (forward, backward)]
    if vocabularies[0] != vocabularies[1] or forward.rules != backward.rules:
        raise UserError(
            "`join`: the models have different vocabularies; give two that were trained on the same records"
        )
    encoder = encoder_shapes(forward.config)
    weights = {name: forward.weights[name] for name in encoder}
    weights |= {reversed_name(name): backward.weights[name] for name in encoder}
    config = forward.config.replace(direction=JOINED)
    return Checkpoint("BertBackbone", config, weights, forward.vocabulary, forward.rules)
