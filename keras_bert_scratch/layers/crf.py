"""A linear-chain conditional random field over tags (Lafferty et al. 2001; for named entities Lample et al. 2016).

    p(y | x) = exp(sum over t of logits[t, y_t] + transitions[y_(t-1), y_t]) / Z

Z is the sum over all sequences of tags. The first and the last tag have no scores of their own: the vector of a word
already encodes its position in the row. All sums are computed in log space and normalised at every position, so that
long chains lose no precision.

In all functions `logits` are float32 `(batch, length, tags)`, `transitions` float32 `(batch, tags, tags)`, from the
row's tag to the column's, and `lengths` int `(batch,)`. A chain is the first `lengths[i]` positions of row `i`:
positions without a tag must be removed beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class Transitions(keras.layers.Layer):
    """The weights of a conditional random field: a score for every pair of consecutive tags; initialized to 0.

    Call: takes `logits`, float `(batch, length, tags)`; returns the transitions `(batch, tags, tags)`, the same for all
    rows, so that every output of a model has a batch axis.

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
        return dict(super().get_config())  # without this, Keras cannot serialize a layer whose dtype is a policy


def sequence_loss(logits: Any, transitions: Any, tags: Any, lengths: Any) -> Any:
    """-log p(tags | x) of every chain, float32 `(batch,)`; 0 for an empty chain.

    The gradient is hand-written, because XLA cannot compile the gradient of a loop. It is the expected count of each
    tag, and of each pair of neighbouring tags, minus the actual count.

    Args:
        logits, transitions, lengths: of the chains, as described above.
        tags: int `(batch, length)`, from 0 to `tags - 1`; values after the end of a chain are ignored.

    Example:
        >>> loss = sequence_loss(ops.zeros((1, 3, 4)), ops.zeros((1, 4, 4)), ops.array([[0, 3, 1]]), ops.array([2]))
        >>> round(float(loss[0]), 4)  # one of 16 sequences
        2.7726
    """
    in_chain = _is_before(lengths, logits)
    given = ops.one_hot(ops.where(in_chain, tags, -1), logits.shape[-1], dtype="float32")  # all 0 after the chain
    before, after = given[:, :-1], given[:, 1:]

    @ops.custom_gradient
    def loss_of(logits: Any, transitions: Any) -> Any:
        reached = _forward(logits, transitions, ops.logsumexp)
        # Subtracted position by position, because both sums are large and their difference is small.
        chosen = ops.sum(given * logits, axis=-1)
        moved = ops.sum(ops.matmul(before, transitions) * after, axis=-1)
        chosen = chosen + ops.pad(moved, [[0, 0], [1, 0]])
        loss = ops.sum(ops.where(in_chain, ops.logsumexp(reached, axis=-1) - chosen, 0.0), axis=1)

        def gradient(*args: Any, upstream: Any = None) -> Any:
            upstream = ops.reshape(args[0] if upstream is None else upstream, (-1, 1, 1))
            expected, expected_moves = _expectations(logits, transitions, reached, in_chain)
            moves = ops.matmul(ops.transpose(before, (0, 2, 1)), after)
            return upstream * (expected - given), upstream * (expected_moves - moves)

        return loss, gradient

    return loss_of(logits, transitions)


def tag_probabilities(logits: Any, transitions: Any, lengths: Any) -> Any:
    """The marginal probability of each tag at each position: `(batch, length, tags)`, 0 after the end of a chain.

    Computed by the forward-backward algorithm. If all transitions are 0, it is the softmax.

    Example:
        >>> tag_probabilities(ops.zeros((1, 2, 4)), ops.zeros((1, 4, 4)), ops.array([1])).numpy().tolist()
        [[[0.25, 0.25, 0.25, 0.25], [0.0, 0.0, 0.0, 0.0]]]
    """
    in_chain = _is_before(lengths, logits)
    reached = _forward(logits, transitions, ops.logsumexp)
    return _expectations(logits, transitions, reached, in_chain)[0]


def best_tags(logits: Any, transitions: Any, lengths: Any) -> Any:
    """The most probable sequence of tags of every chain, by Viterbi's algorithm: int32 `(batch, length)`.

    Values after the end of a chain are meaningless.

    Example:
        >>> logits, transitions = ops.array([[[0.0, 1.0], [0.0, 2.0]]]), ops.array([[[0.0, 0.0], [0.0, -9.0]]])
        >>> best_tags(logits, transitions, ops.array([2])).numpy().tolist()
        [[0, 1]]
    """
    reached = _forward(logits, transitions, ops.max)
    best = ops.argmax(reached, axis=-1)
    is_last = ops.logical_not(_is_before(lengths - 1, logits))
    sources = ops.argmax(ops.expand_dims(reached, 3) + ops.expand_dims(transitions, 1), axis=2)  # for each next tag

    best, is_last, sources = (ops.swapaxes(values, 0, 1) for values in (best, is_last, sources))

    def step(following: Any, at: Any) -> tuple[Any, Any]:
        source = ops.take_along_axis(sources[at], ops.expand_dims(following, 1), axis=1)[:, 0]
        tag = ops.where(is_last[at], best[at], source)
        return tag, tag

    return _by_position(step, ops.zeros_like(best[0]), logits, reverse=True)


def _is_before(limits: Any, logits: Any) -> Any:
    """Whether each position is before the limit of its row, bool `(batch, length)`."""
    return ops.arange(ops.shape(logits)[1], dtype="int32") < ops.expand_dims(ops.cast(limits, "int32"), 1)


def _by_position(step: Callable[[Any, Any], tuple[Any, Any]], start: Any, logits: Any, reverse: bool = False) -> Any:
    """Scans `step(carried, position)` over the positions of `logits`; stacks the results, batch axis first."""
    # Scans over the positions only: with a second tensor, Keras's scan on TensorFlow needs a static length.
    _, found = ops.scan(step, start, ops.arange(ops.shape(logits)[1], dtype="int32"), reverse=reverse)
    return ops.swapaxes(found, 0, 1)


def _forward(logits: Any, transitions: Any, join: Callable[..., Any]) -> Any:
    """`join` over all sequences that end with each tag at each position, `(batch, length, tags)`.

    At each position, values are relative to the `join` over the tags of the position before, so that they stay small.
    """
    emissions = ops.swapaxes(logits, 0, 1)

    def step(before: Any, at: Any) -> tuple[Any, Any]:
        before = before - join(before, axis=-1, keepdims=True)
        moved = join(ops.expand_dims(before, 2) + transitions, axis=1)
        reached = emissions[at] + ops.where(at == 0, 0.0, moved)
        return reached, reached

    return _by_position(step, emissions[0], logits)


def _expectations(logits: Any, transitions: Any, reached: Any, in_chain: Any) -> tuple[Any, Any]:
    """Each tag's probability at each position, and the expected count of each pair of tags, `(batch, tags, tags)`.

    Args:
        logits, transitions: of the chains.
        reached: the result of `_forward` with `logsumexp`.
        in_chain: bool `(batch, length)`. True at the positions of the chains.
    """
    normaliser = ops.logsumexp(reached, axis=-1, keepdims=True)
    before = reached - normaliser  # log p(tag | the chain up to here)
    emission = logits - normaliser

    emissions, in_chain_by_position = ops.swapaxes(emission, 0, 1), ops.swapaxes(in_chain, 0, 1)

    def step(rest: Any, at: Any) -> tuple[Any, Any]:
        from_before = ops.logsumexp(ops.expand_dims(emissions[at] + rest, 1) + transitions, axis=2)
        return ops.where(ops.expand_dims(in_chain_by_position[at], 1), from_before, 0.0), rest

    # For each tag, the log of the sum over all sequences that follow it.
    rest = _by_position(step, ops.zeros_like(logits[:, 0]), logits, reverse=True)

    tags = ops.where(ops.expand_dims(in_chain, 2), ops.exp(before + rest), 0.0)
    pairs = ops.expand_dims(before[:, :-1], 3) + ops.expand_dims((emission + rest)[:, 1:], 2)
    pairs = ops.exp(pairs + ops.expand_dims(transitions, 1))  # (batch, length - 1, tags, tags)
    return tags, ops.sum(ops.where(in_chain[:, 1:, None, None], pairs, 0.0), axis=1)
