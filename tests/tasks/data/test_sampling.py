"""Drawn tokens against their probabilities, and generated texts against plain Python."""

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_scratch.tasks.data.sampling import choose, sample

PROBABILITIES = np.array([0.05, 0.4, 0.25, 0.2, 0.1], "float32")


def kept(top_k: int, top_p: float, temperature: float) -> np.ndarray:
    """The distribution that tokens are drawn from, by its definition."""
    p = PROBABILITIES.astype("float64") ** (1 / temperature)
    p /= p.sum()
    order = np.argsort(-p)
    allowed = order[: top_k or len(p)]
    within = p[allowed] / p[allowed].sum()
    smallest = next(n for n in range(1, len(allowed) + 1) if within[:n].sum() >= top_p - 1e-6)
    found = np.zeros_like(p)
    found[allowed[:smallest]] = p[allowed[:smallest]]
    return found / found.sum()


CHOICES = [(0, 1.0), (1, 1.0), (3, 1.0), (9, 1.0), (0, 0.6), (0, 0.9), (4, 0.5), (0, 1e-9)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("top_k", "top_p"), CHOICES)
def test_tokens_are_drawn_as_often_as_they_are_likely(top_k, top_p, temperature):
    """Evenly spaced numbers draw each token as often as its probability says."""
    uniform = tf.constant((np.arange(20_000) + 0.5) / 20_000, tf.float32)
    logits = tf.tile(tf.math.log(PROBABILITIES)[None], [20_000, 1])
    drawn = choose(logits, uniform, top_k, top_p, temperature).numpy()
    found = np.bincount(drawn, minlength=5) / 20_000
    np.testing.assert_allclose(found, kept(top_k, top_p, temperature), atol=2e-4)


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2.0**-24])
def test_what_is_impossible_is_never_drawn(uniform):
    logits = tf.constant([[-np.inf, 0.0, -np.inf, 1.0]])
    for top_k, top_p in ((0, 1.0), (3, 1.0), (0, 0.99)):
        assert choose(logits, tf.constant([uniform]), top_k, top_p, 1.0).numpy()[0] in (1, 3)


START, END, SIZE = 0, 1, 7


def logits_after(tokens: tuple[int, ...]) -> np.ndarray:
    logits = np.random.default_rng(tokens).normal(size=SIZE) * 2
    logits[START] = -1e9
    return logits


def step(tokens, position, text):
    text = tf.concat([text, tokens[:, None, None]], axis=2)

    def ask(texts):
        found = [logits_after(tuple(one)) for one in texts.reshape(-1, texts.shape[-1]).tolist()]
        return np.array(found, np.float32).reshape(len(texts), SIZE)

    return tf.ensure_shape(tf.numpy_function(ask, [text], tf.float32), [None, SIZE]), text


def sampled(beginnings: list[list[int]], keys: list[str], max_tokens=9, continuations=3, top_k=0) -> list:
    state = tf.zeros([len(beginnings) * continuations, 1, 0], tf.int32)
    ragged = tf.ragged.constant(beginnings, tf.int32, row_splits_dtype=tf.int64)
    found = sample(step, state, ragged, tf.constant(keys), END, max_tokens, continuations, top_k, 1.0, 1.0)
    return found.to_list()


BEGINNINGS = [[START, 3, 4], [START], [START, 2, 2, 5, 6], [START, 4]]
KEYS = ["a", "b", "c", "d"]


def test_the_likeliest_token_each_time():
    for beginning, found in zip(BEGINNINGS, sampled(BEGINNINGS, KEYS, top_k=1), strict=True):
        tokens = list(beginning)
        while len(tokens) < 9:
            tokens.append(int(logits_after(tuple(tokens)).argmax()))
            if tokens[-1] == END:
                break
        assert found == [[token for token in tokens[len(beginning) :] if token != END]] * 3


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_a_row_alone_writes_what_it_writes_among_others():
    together = sampled(BEGINNINGS, KEYS)
    for beginning, key, expected in zip(BEGINNINGS, KEYS, together, strict=True):
        assert sampled([beginning], [key]) == [expected]
    assert any(len(set(map(tuple, texts))) > 1 for texts in together)
    assert together != sampled(BEGINNINGS, [f"{key}/other" for key in KEYS])


def test_texts_end_at_the_longest():
    for beginning, texts in zip(BEGINNINGS, sampled(BEGINNINGS, KEYS, max_tokens=5), strict=True):
        assert all(len(beginning) + len(text) <= max(5, len(beginning)) for text in texts)


@pytest.mark.slow
def test_first_tokens_are_drawn_as_often_as_they_are_likely():
    """With the hashes that serve as random numbers; within five standard errors."""
    found = sampled([[START]] * 3000, [str(number) for number in range(3000)], max_tokens=2, continuations=1)
    counts = np.bincount([text[0] if text else END for (text,) in found], minlength=SIZE) / 3000
    logits = logits_after((START,))
    expected = np.exp(logits) / np.exp(logits).sum()
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected / 3000)).all()
