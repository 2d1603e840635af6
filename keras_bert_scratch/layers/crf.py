"""A linear-chain conditional random field over tags (Lafferty et al. 2001; for named entities Lample et al. 2016).

    p(y | x) = exp(sum over t of logits[t, y_t] + transitions[y_(t-1), y_t]) / Z

Z is the sum over all sequences of tags. There are no scores of its own for the first and the last tag: the vector of a
word tells where in its row it is. All sums run in logarithms and are normalised at every position, so that a long chain
loses no digits.

In all functions `logits` are float32 `(batch, length, tags)`, `transitions` float32 `(batch, tags, tags)`, from the
row's tag to the column's, and `lengths` int `(batch,)`. A chain is the first so many positions of its row: positions
without a tag must be taken out before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Transitions(keras.layers.Layer):
    """The weights of a conditional random field: a score for every tag after every other one; they start from 0.

    Call: `logits`, float `(batch, length, tags)`, give the transitions `(batch, tags, tags)`, the same for all rows, so
    that what a model gives has a row for each of its inputs.

    Example:
        >>> tuple(Transitions()(ops.zeros((2, 7, 3))).shape)
        (2, 3, 3)
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        tags = input_shape[-1]
        self.transitions = self.add_weight(shape=(tags, tags), initializer="zeros", name="transitions")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], input_shape[-1], input_shape[-1])

    def call(self, logits: Any) -> Any:
        return ops.broadcast_to(self.transitions, (ops.shape(logits)[0], *self.transitions.shape))

    def get_config(self) -> dict[str, Any]:
        return dict(super().get_config())  # Keras cannot describe a layer whose dtype is a policy unless it has this


def sequence_loss(logits: Any, transitions: Any, tags: Any, lengths: Any) -> Any:
    """-log p(tags | x) of every chain, float32 `(batch,)`; 0 for an empty one.

    The gradient is written by hand, as XLA cannot compile that of a loop: what is expected of each tag, and of each
    pair of neighbours, less what is there.

    Args:
        logits, transitions, lengths: of the chains.
        tags: int `(batch, length)`, from 0 to `tags - 1`; what stands behind a chain means nothing.

    Example:
        >>> loss = sequence_loss(ops.zeros((1, 3, 4)), ops.zeros((1, 4, 4)), ops.array([[0, 3, 1]]), ops.array([2]))
        >>> round(float(loss[0]), 4)  # one of 16 sequences
        2.7726
    """
    there = _is_before(lengths, logits)
    given = ops.one_hot(ops.where(there, tags, -1), logits.shape[-1], dtype="float32")  # all 0 behind the chain
    before, after = given[:, :-1], given[:, 1:]

    @ops.custom_gradient
    def loss_of(logits: Any, transitions: Any) -> Any:
        reached = _forward(logits, transitions, ops.logsumexp)
        # Position by position, as both sums are large and their difference is small.
        chosen = ops.sum(given * logits, axis=-1)
        moved = ops.sum(ops.matmul(before, transitions) * after, axis=-1)
        chosen = chosen + ops.pad(moved, [[0, 0], [1, 0]])
        loss = ops.sum(ops.where(there, ops.logsumexp(reached, axis=-1) - chosen, 0.0), axis=1)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = ops.reshape(args[0] if upstream is None else upstream, (-1, 1, 1))
            expected, expected_moves = _expectations(logits, transitions, reached, there)
            moves = ops.matmul(ops.transpose(before, (0, 2, 1)), after)
            return upstream * (expected - given), upstream * (expected_moves - moves)

        return loss, gradient

    return loss_of(logits, transitions)


def tag_probabilities(logits: Any, transitions: Any, lengths: Any) -> Any:
    """How probable each tag is at each position, whatever the others are: `(batch, length, tags)`, 0 behind a chain.

    By the forward-backward algorithm. Without transitions it is the softmax.

    Example:
        >>> tag_probabilities(ops.zeros((1, 2, 4)), ops.zeros((1, 4, 4)), ops.array([1])).numpy().tolist()
        [[[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]]]
    """
    there = _is_before(lengths, logits)
    reached = _forward(logits, transitions, ops.logsumexp)
    return _expectations(logits, transitions, reached, there)[0]


def best_tags(logits: Any, transitions: Any, lengths: Any) -> Any:
    """The likeliest sequence of tags of every chain, by Viterbi's algorithm: int32 `(batch, length)`.

    What stands behind a chain means nothing.

    Example:
        >>> logits, transitions = ops.array([[[0.0, 1.0], [0.0, 2.0]]]), ops.array([[[0.0, 0.0], [0.0, -9.0]]])
        >>> best_tags(logits, transitions, ops.array([2])).numpy().tolist()
        [[0, 1]]
    """
    reached = _forward(logits, transitions, ops.max)
    best = ops.argmax(reached, axis=-1)
    is_last = ops.logical_not(_is_before(lengths - 1, logits))
    sources = ops.argmax(ops.expand_dims(reached, 3) + ops.expand_dims(transitions, 1), axis=2)  # by the following tag

    best, is_last, sources = (ops.swapaxes(values, 0, 1) for values in (best, is_last, sources))

    def step(following: Any, at: Any) -> tuple[Any, Any]:
        source = ops.take_along_axis(sources[at], ops.expand_dims(following, 1), axis=1)[:, 0]
        tag = ops.where(is_last[at], best[at], source)
        return tag, tag

    return _by_position(step, ops.zeros_like(best[0]), logits, reverse=True)


def _is_before(limits: Any, logits: Any) -> Any:
    """Which positions of each row lie before its limit, bool `(batch, length)`."""
    return ops.arange(ops.shape(logits)[1], dtype="int32") < ops.expand_dims(ops.cast(limits, "int32"), 1)


def _by_position(step: Callable[[Any, Any], tuple[Any, Any]], start: Any, logits: Any, reverse: bool = False) -> Any:
    """What `step(carried, position)` gives at every position of `logits`, one after another, batch first."""
    # Positions alone: with a second tensor to go along, Keras's scan on TensorFlow wants to know the length beforehand.
    _, found = ops.scan(step, start, ops.arange(ops.shape(logits)[1], dtype="int32"), reverse=reverse)
    return ops.swapaxes(found, 0, 1)


def _forward(logits: Any, transitions: Any, join: Callable[..., Any]) -> Any:
    """`join` over all sequences that end with each tag at each position, `(batch, length, tags)`.

    At each position it counts from the `join` of the one before, so that numbers stay small.
    """
    emissions = ops.swapaxes(logits, 0, 1)

    def step(before: Any, at: Any) -> tuple[Any, Any]:
        before = before - join(before, axis=-1, keepdims=True)
        moved = join(ops.expand_dims(before, 2) + transitions, axis=1)
        reached = emissions[at] + ops.where(at == 0, 0.0, moved)
        return reached, reached

    return _by_position(step, emissions[0], logits)


def _expectations(logits: Any, transitions: Any, reached: Any, there: Any) -> tuple[Any, Any]:
    """How probable each tag is at each position, and how often each follows each other one: `(batch, tags, tags)`.

    Args:
        logits, transitions: of the chains.
        reached: what `_forward` gave with `logsumexp`.
        there: bool `(batch, length)`. Where the chains are.
    """
    normaliser = ops.logsumexp(reached, axis=-1, keepdims=True)
    before = reached - normaliser  # log p(tag | the chain up to here)
    emission = logits - normaliser

    emissions, is_there = ops.swapaxes(emission, 0, 1), ops.swapaxes(there, 0, 1)

    def step(rest: Any, at: Any) -> tuple[Any, Any]:
        from_before = ops.logsumexp(ops.expand_dims(emissions[at] + rest, 1) + transitions, axis=2)
        return ops.where(ops.expand_dims(is_there[at], 1), from_before, 0.0), rest

    # Of each tag the logarithm of what all that follows it adds up to.
    rest = _by_position(step, ops.zeros_like(logits[:, 0]), logits, reverse=True)

    tags = ops.where(ops.expand_dims(there, 2), ops.exp(before + rest), 0.0)
    pairs = ops.expand_dims(before[:, :-1], 3) + ops.expand_dims((emission + rest)[:, 1:], 2)
    pairs = ops.exp(pairs + ops.expand_dims(transitions, 1))  # (batch, length - 1, tags, tags)
    return tags, ops.sum(ops.where(there[:, 1:, None, None], pairs, 0.0), axis=1)
