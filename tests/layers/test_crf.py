"""The conditional random field against brute force over all sequences of tags, in numpy."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from keras_bert_scratch.layers.crf import Transitions, best_tags, sequence_loss, tag_probabilities

LENGTHS = np.array([4, 1, 3, 0, 2])
ROWS, LENGTH, TAGS = len(LENGTHS), 4, 3
DRAWS = np.random.default_rng(0)
LOGITS = DRAWS.normal(size=(ROWS, LENGTH, TAGS)).astype("float32") * 2
# Different for each row, although the models of this package use the same for all rows.
TRANSITIONS = DRAWS.normal(size=(ROWS, TAGS, TAGS)).astype("float32") * 2
CHOSEN = DRAWS.integers(0, TAGS, (ROWS, LENGTH))
CHOSEN[2, 3] = -1  # after the chain


def enumerated(row: int) -> list[tuple[tuple[int, ...], float]]:
    """Every sequence of tags of a row's chain, with its probability."""
    found = []
    for tags in itertools.product(range(TAGS), repeat=LENGTHS[row]):
        score = sum(LOGITS[row, at, tag] for at, tag in enumerate(tags))
        score += sum(TRANSITIONS[row, before, after] for before, after in itertools.pairwise(tags))
        found.append((tags, np.exp(np.float64(score))))
    total = sum(weight for _, weight in found)
    return [(tags, weight / total) for tags, weight in found]


def counts_of(tags: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """How often each tag occurs at each position, and how often each tag follows each other tag."""
    here, moves = np.zeros((LENGTH, TAGS)), np.zeros((TAGS, TAGS))
    for at, tag in enumerate(tags):
        here[at, tag] += 1
    for before, after in itertools.pairwise(tags):
        moves[before, after] += 1
    return here, moves


def expected_counts(row: int) -> tuple[np.ndarray, np.ndarray]:
    weighted = [[probability * count for count in counts_of(tags)] for tags, probability in enumerated(row)]
    return tuple(sum(parts) for parts in zip(*weighted, strict=True))


def given_tags(row: int) -> tuple[int, ...]:
    return tuple(CHOSEN[row, : LENGTHS[row]].tolist())


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_the_loss_is_that_of_all_sequences(dtype):
    losses = sequence_loss(ops.array(LOGITS), ops.array(TRANSITIONS), CHOSEN.astype(dtype), LENGTHS.astype(dtype))
    expected = [-np.log(dict(enumerated(row))[given_tags(row)]) for row in range(ROWS)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "XLA"])
def test_the_gradient_is_what_is_expected_less_what_is_there(compiled):
    """In graphs with an unknown row length, because a step is traced once for all lengths."""
    upstream = np.arange(1.0, ROWS + 1, dtype="float32")

    @tf.function(jit_compile=compiled, autograph=False, input_signature=[tf.TensorSpec((None, None, TAGS))])
    def gradients(logits: tf.Tensor) -> list[tf.Tensor]:
        transitions = tf.constant(TRANSITIONS)
        with tf.GradientTape() as tape:
            tape.watch((logits, transitions))
            loss = tf.reduce_sum(upstream * sequence_loss(logits, transitions, CHOSEN, LENGTHS))
        return tape.gradient(loss, (logits, transitions))

    found = gradients(LOGITS)
    for row in range(ROWS):
        for gradient, expected, there in zip(found, expected_counts(row), counts_of(given_tags(row)), strict=True):
            np.testing.assert_allclose(gradient[row], upstream[row] * (expected - there), atol=1e-5)


def test_probabilities_of_single_tags():
    found = tag_probabilities(ops.array(LOGITS), ops.array(TRANSITIONS), LENGTHS)
    np.testing.assert_allclose(found, [expected_counts(row)[0] for row in range(ROWS)], atol=1e-6)


def test_the_best_sequence():
    found = np.asarray(best_tags(ops.array(LOGITS), ops.array(TRANSITIONS), LENGTHS))
    for row in range(ROWS):
        best, _ = max(enumerated(row), key=lambda sequence: sequence[1])
        assert tuple(found[row, : LENGTHS[row]]) == best
    # The best sequence differs from the best tags of single positions; otherwise the test would show nothing.
    assert any(tuple(LOGITS[row].argmax(-1)[:size]) != tuple(found[row, :size]) for row, size in enumerate(LENGTHS))


def test_without_transitions_it_is_a_softmax():
    zeros, full = np.zeros((ROWS, TAGS, TAGS), "float32"), np.full(ROWS, LENGTH)
    softmax = np.asarray(ops.softmax(LOGITS))
    np.testing.assert_allclose(tag_probabilities(ops.array(LOGITS), zeros, full), softmax, atol=1e-6)
    tags = np.abs(CHOSEN)
    chosen = np.take_along_axis(softmax, tags[..., None], -1)[..., 0]
    found = sequence_loss(ops.array(LOGITS), ops.array(zeros), tags, full)
    np.testing.assert_allclose(found, -np.log(chosen).sum(1), rtol=1e-5)


def test_a_long_chain_loses_no_digits():
    """The log-sum over all sequences is about 20,000 here, where float32 has steps of 0.002."""
    draws = np.random.default_rng(1)
    logits = draws.normal(size=(1, 2000, TAGS)).astype("float32") + 10
    transitions = draws.normal(size=(1, TAGS, TAGS)).astype("float32")
    best = np.asarray(tf.function(best_tags)(logits, transitions, np.array([2000])))
    loss = float(tf.function(sequence_loss)(logits, transitions, best, np.array([2000]))[0])
    reached, score = logits[0, 0].astype("float64"), float(logits[0, 0, best[0, 0]])
    for at in range(1, 2000):
        reached = (
            np.log(np.exp(reached[:, None] + transitions[0] - reached.max()).sum(0)) + reached.max() + logits[0, at]
        )
        score += float(transitions[0, best[0, at - 1], best[0, at]]) + float(logits[0, at, best[0, at]])
    expected = np.log(np.exp(reached - reached.max()).sum()) + reached.max() - score
    assert loss == pytest.approx(expected, abs=2e-3)


def test_transitions_are_the_same_for_all_rows():
    layer = Transitions(name="crf")
    layer.build((None, None, TAGS))
    assert not np.any(np.asarray(layer.transitions))
    layer.transitions.assign(TRANSITIONS[0])
    np.testing.assert_array_equal(layer(LOGITS), np.broadcast_to(TRANSITIONS[0], (ROWS, TAGS, TAGS)))
    described = layer(keras.KerasTensor((None, None, TAGS)))
    assert tuple(described.shape) == (None, TAGS, TAGS)
