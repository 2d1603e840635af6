"""Beam search against trying every text, and against the same search in plain Python."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but

from keras_bert_scratch.tasks.data.beam_search import GeneratedTexts, beam_search, length_penalty

pytestmark = pytest.mark.usefixtures("eagerly")  # except in one test

START, END, VOCABULARY = 0, 1, 5


def logits_after(row: int, tokens: tuple[int, ...]) -> np.ndarray:
    """The logits of an invented decoder after some tokens: a random function of the tokens."""
    seed = np.random.default_rng([row, *tokens])
    logits = seed.normal(size=VOCABULARY) * 2
    logits[START] = -1e9  # no text contains it
    return logits


def own_texts(tokens, past, visible):
    """The tokens that each beam sees, `(rows, beams, positions)`, and all tokens so far, `(rows, 1, n)`."""
    past = tf.concat([past, tokens[:, None]], axis=2)
    counts = tf.reduce_sum(tf.cast(visible, tf.int32), axis=2)
    everything = tf.repeat(past, tf.shape(tokens)[1], axis=1)
    return tf.reshape(everything[visible], tf.concat([tf.shape(tokens), counts[:1, 0]], axis=0)), past


def step(tokens, position, past, visible, source):
    """A step of the decoder; `source` is the row's number."""
    texts, past = own_texts(tokens, past, visible)

    def ask(rows, texts):
        logits = [[logits_after(row, tuple(text)) for text in beams] for row, beams in zip(rows, texts, strict=True)]
        return np.array(logits, np.float32)

    logits = tf.numpy_function(ask, [source, texts], tf.float32)
    return tf.ensure_shape(logits, [None, tokens.shape[1], VOCABULARY]), past


def searched(
    rows: list[int], max_tokens: int, beams: int, alpha: float, wanted: int | None = None
) -> list[list[tuple[tuple[int, ...], float]]]:
    @tf.function(autograph=False)
    def search() -> GeneratedTexts:
        past, source, count = tf.zeros([len(rows), 1, 0], tf.int32), tf.constant(rows), tf.constant(len(rows))
        return beam_search(step, past, source, count, START, END, max_tokens, beams, alpha, wanted or beams)

    return [
        [
            (tuple(text[:length].tolist()), float(score))
            for text, length, score in zip(texts, lengths, scores, strict=True)
        ]
        for texts, lengths, scores in zip(*(value.numpy() for value in search()), strict=True)
    ]


def log_softmax(logits):
    logits = logits - logits.max()
    return logits - np.log(np.exp(logits).sum())


def score(row: int, written: tuple[int, ...], alpha: float) -> float:
    """The log-probability of all written tokens, the end included, divided by the length penalty."""
    whole = (START, *written)
    total = sum(log_softmax(logits_after(row, whole[:n]))[whole[n]] for n in range(1, len(whole)))
    return total / ((5 + len(written)) / 6) ** alpha


def every_text(row: int, max_tokens: int, alpha: float) -> list[tuple[tuple[int, ...], float]]:
    """Every text that ends and every text that is cut off, the highest score first."""
    tokens = [token for token in range(VOCABULARY) if token not in (START, END)]
    ended = [(*text, END) for n in range(max_tokens) for text in itertools.product(tokens, repeat=n)]
    found = [*ended, *itertools.product(tokens, repeat=max_tokens)]
    scored = [(tuple(t for t in written if t != END), score(row, written, alpha)) for written in found]
    return sorted(scored, key=lambda found: -found[1])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0, -1.0])
def test_a_search_that_keeps_all_finds_what_trying_every_text_finds(alpha):
    rows, max_tokens, beams = [3, 4], 4, 40  # at most 3 ** 3 texts continue
    for row, found in zip(rows, searched(rows, max_tokens, beams, alpha), strict=True):
        expected = every_text(row, max_tokens, alpha)
        assert [text for text, _ in found[:30]] == [text for text, _ in expected[:30]]
        assert [score for _, score in found[:30]] == pytest.approx([score for _, score in expected[:30]], rel=1e-4)


def test_a_graph_finds_what_trying_every_text_finds():
    tf.config.run_functions_eagerly(False)
    test_a_search_that_keeps_all_finds_what_trying_every_text_finds(0.6)


def plain_search(row: int, max_tokens: int, beams: int, alpha: float) -> list[tuple[tuple[int, ...], float]]:
    """The same search, with lists."""
    alive, finished = [((), 0.0)], []
    for length in range(1, max_tokens + 1):
        candidates = [
            (text, token, total + log_prob)
            for text, total in alive
            for token, log_prob in enumerate(log_softmax(logits_after(row, (START, *text))))
        ]
        candidates = sorted(candidates, key=lambda candidate: -candidate[2])[: 2 * beams if beams > 1 else 1]
        penalty = ((5 + length) / 6) ** alpha
        finished += [(text, total / penalty) for text, token, total in candidates[:beams] if token == END]
        finished = sorted(finished, key=lambda found: -found[1])[:beams]
        alive = [((*text, token), total) for text, token, total in candidates if token != END][:beams]
    cut_off = [(text, total / ((5 + max_tokens) / 6) ** alpha) for text, total in alive]
    return sorted(finished + cut_off, key=lambda found: -found[1])[:beams]


@pytest.mark.parametrize("alpha", [0.0, 0.6, -1.0])
@pytest.mark.parametrize("beams", [1, 2, 3])
def test_a_narrow_search_keeps_the_best_beginnings(beams, alpha):
    """The search also stops early if no better text can follow."""
    rows, max_tokens = list(range(12)), 6
    for row, found in zip(rows, searched(rows, max_tokens, beams, alpha), strict=True):
        expected = plain_search(row, max_tokens, beams, alpha)
        assert [text for text, _ in found] == [text for text, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected], rel=1e-4)


def test_a_row_alone_gets_what_it_gets_among_others():
    rows = list(range(8))
    together = searched(rows, 6, 3, 0.6)
    for row, expected in zip(rows, together, strict=True):
        (alone,) = searched([row], 6, 3, 0.6)
        assert [text for text, _ in alone] == [text for text, _ in expected]


def made_of(table: dict[tuple[int, ...], list[float]]):
    """A decoder with the probabilities of `table`, by the tokens before."""

    def step(tokens, position, past, visible, source):
        texts, past = own_texts(tokens, past, visible)

        def ask(texts):
            flat = texts.reshape(-1, texts.shape[-1])
            found = [np.log(table.get(tuple(text[1:]), [1e-9, 1.0, 1e-9, 1e-9])) for text in flat.tolist()]
            return np.array(found, np.float32).reshape(*texts.shape[:2], 4)

        return tf.ensure_shape(tf.numpy_function(ask, [texts], tf.float32), [None, tokens.shape[1], 4]), past

    return step


@pytest.mark.parametrize("alpha", slow_but([-1.0, 0.6], [-1.0, 0.0, 0.6, 2.0]))
@pytest.mark.parametrize("wanted", slow_but([2], [1, 2]))
def test_a_search_for_fewer_gives_the_best_of_all(alpha, wanted):
    rows = list(range(20))
    for one, of_all in zip(searched(rows, 6, 4, alpha, wanted), searched(rows, 6, 4, alpha), strict=True):
        assert [text for text, _ in one] == [text for text, _ in of_all[:wanted]]
        assert [score for _, score in one] == pytest.approx([score for _, score in of_all[:wanted]], abs=1e-5)


# At first the end has 0.3 and token 2 has 0.4; after 2, the tokens 3 and 2 and the end are certain: 0.4 for this text.
LONG = {(): [1e-9, 0.3, 0.4, 0.3], (2,): [1e-9] * 3 + [1.0], (2, 3): [1e-9, 1e-9, 1.0, 1e-9]}


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, [2, 3, 2]), (1.0, [2, 3, 2]), (-4.0, [])])
def test_a_longer_text_that_scores_better_wins_over_one_that_ended_first(alpha, expected):
    past = tf.zeros([1, 1, 0], tf.int32)
    found = beam_search(made_of(LONG), past, (), tf.constant(1), START, END, 8, 2, alpha)
    assert found.tokens[0, 0, : int(found.lengths[0, 0])].numpy().tolist() == expected


def test_a_text_without_end_is_cut_off():
    endless = {(2,) * n: [1e-9, 1e-9, 1.0, 1e-9] for n in range(9)}
    past = tf.zeros([1, 1, 0], tf.int32)
    found = beam_search(made_of(endless), past, (), tf.constant(1), START, END, 5, 2, 0.0)
    assert found.tokens[0, 0].numpy().tolist() == [2] * 5
    assert found.lengths[0].numpy().tolist()[0] == 5


def test_the_end_is_a_token_of_the_penalty():
    assert float(length_penalty(1, 2.0)) == 1.0
    past = tf.zeros([1, 1, 0], tf.int32)
    found = beam_search(made_of({(): [1e-9, 0.5, 0.25, 0.25]}), past, (), tf.constant(1), START, END, 3, 1, 1.0)
    assert float(found.scores[0, 0]) == pytest.approx(math.log(0.5), rel=1e-5)
