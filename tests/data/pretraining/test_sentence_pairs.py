"""The rules of pairs, by count; by chance a bound is missed once in a million keys, and keys are fixed."""

import numpy as np
import pytest

from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.sentence_pairs import IN_ORDER, NOT_IN_ORDER, _trimmed, plan_examples
from keras_bert_scratch.errors import UserError

DEVIATIONS = 5
KEYS = 5


def near(count: int, of: int, fraction: float) -> bool:
    """Whether `count` of `of` throws is within five standard deviations of `fraction`."""
    return abs(count - of * fraction) < DEVIATIONS * np.sqrt(of * fraction * (1 - fraction)) + 1


@pytest.fixture(scope="module")
def shard() -> tuple[np.ndarray, np.ndarray]:
    """300 documents of 1 to 30 sentences of 1 to 40 tokens."""
    rng = np.random.default_rng(0)
    document_lengths = rng.integers(1, 31, 300)
    return rng.integers(1, 41, document_lengths.sum()), document_lengths


def plan(shard, max_length=64, pairs="next", short_seq_prob=0.1, keys=KEYS):
    rules = ExampleRules(pairs, short_seq_prob=short_seq_prob)
    return np.concatenate([plan_examples(*shard, max_length, rules, "test", key) for key in range(keys)])


def same(sentence: int, sentences: int, documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents all alike, each of `sentences` sentences of `sentence` tokens."""
    return np.full(sentences * documents, sentence), np.full(documents, sentences)


def document_of(shard, positions):
    sentence_lengths, document_lengths = shard
    ends = np.cumsum(np.add.reduceat(sentence_lengths, np.cumsum(document_lengths) - document_lengths))
    return np.searchsorted(ends, positions, side="right")


def sentence_starts(shard) -> set[int]:
    return {0, *np.cumsum(shard[0]).tolist()}


@pytest.mark.parametrize("pairs", ["next", "order", "none"])
def test_segments_are_of_one_document_and_fit(shard, pairs):
    examples = plan(shard, pairs=pairs)
    for start, end in ((0, 1), (2, 3)) if pairs != "none" else ((0, 1),):
        assert (examples[:, end] > examples[:, start]).all()
        np.testing.assert_array_equal(document_of(shard, examples[:, start]), document_of(shard, examples[:, end] - 1))
    lengths = examples[:, 1] - examples[:, 0] + examples[:, 3] - examples[:, 2]
    assert lengths.max() == 64 - (2 if pairs == "none" else 3)


def test_a_true_next_segment_follows_and_a_random_one_is_of_another_document(shard):
    pairs = plan(shard)
    a, b = document_of(shard, pairs[:, 0]), document_of(shard, pairs[:, 2])
    is_next = pairs[:, 4] == IN_ORDER
    np.testing.assert_array_equal(a[is_next], b[is_next])
    assert (pairs[is_next, 0] < pairs[is_next, 2]).all()
    assert (a[~is_next] != b[~is_next]).all()
    untrimmed = is_next & (pairs[:, 1] == pairs[:, 2])
    assert untrimmed.any()  # the others lost tokens where A and B meet
    assert set(pairs[untrimmed, 1].tolist()) <= sentence_starts(shard)


def test_half_of_the_pairs_are_random_where_there_is_a_choice():
    # Without short targets, chunks of one sentence, which must take a random next, come only at a document's end.
    pairs = plan(same(10, 400, 50), short_seq_prob=0.0)
    forced = KEYS * 50
    random = (pairs[:, 4] == NOT_IN_ORDER).sum()
    assert abs(random - len(pairs) / 2) < DEVIATIONS * np.sqrt(len(pairs)) / 2 + forced


@pytest.mark.parametrize("pairs", ["next", "order"])
def test_one_in_ten_is_short(pairs):
    examples = plan(same(1, 20000, 2), max_length=103, pairs=pairs)
    lengths = (examples[:, 1] - examples[:, 0]) + (examples[:, 3] - examples[:, 2])
    # A short target is uniform on 2..100, so one in 99 of the short ones is as long as the rest.
    assert near((lengths < 100).sum(), len(lengths), 0.1 * 98 / 99)


def test_one_in_ten_stretches_is_cut_again():
    whole, cut = (plan(same(1, 20000, 2), 102, "none", fraction, keys=20) for fraction in (0.0, 0.1))
    assert near(len(cut) - len(whole), len(whole), 0.1)


def test_random_segments_come_from_everywhere():
    shard = same(10, 40, 20)
    pairs = plan(shard, short_seq_prob=0.0, keys=40)
    pairs = pairs[pairs[:, 4] == NOT_IN_ORDER]
    a, b = document_of(shard, pairs[:, 0]), document_of(shard, pairs[:, 2])
    distance = (b - a) % 20
    often = np.bincount(distance, minlength=20)
    assert often[0] == 0
    assert all(near(count, len(pairs), 1 / 19) for count in often[1:])


@pytest.mark.parametrize("pairs", ["next", "order", "none"])
def test_every_sentence_is_used(shard, pairs):
    """Nothing is left out but what trimming cuts: in a row long enough, every token is in an A or a true B, once."""
    examples = plan(shard, max_length=2000, pairs=pairs, keys=1)
    used = np.zeros(shard[0].sum(), np.int64)
    for start_a, end_a, start_b, end_b, label in examples.tolist():
        used[start_a:end_a] += 1
        if pairs != "next" or label == IN_ORDER:
            used[start_b:end_b] += 1
    if pairs == "order":  # a document of a single token has no two parts
        assert (used == 0).sum() <= sum(length == 1 for length in shard[0])
        assert used.max() == 1
    else:
        assert (used == 1).all()


def test_no_pairs_lose_no_token(shard):
    examples = plan(shard, pairs="none", keys=1)
    examples = examples[np.argsort(examples[:, 0])]
    np.testing.assert_array_equal(examples[1:, 0], examples[:-1, 1])
    assert (examples[0, 0], examples[-1, 1]) == (0, shard[0].sum())


def test_order_is_swapped_half_of_the_time(shard):
    pairs = plan(shard, pairs="order")
    swapped = pairs[:, 4] == NOT_IN_ORDER
    assert near(swapped.sum(), len(pairs), 0.5)
    assert (pairs[swapped, 0] > pairs[swapped, 2]).all()
    assert (pairs[~swapped, 0] < pairs[~swapped, 2]).all()


def one_by_one(length_a: int, length_b: int, max_tokens: int) -> tuple[int, int]:
    """What is left of both, by the loop of Google's `truncate_seq_pair`."""
    while length_a + length_b > max_tokens:
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return length_a, length_b


def test_trimming_leaves_what_the_loop_leaves():
    length_a, length_b = np.random.default_rng(1).integers(1, 200, (2, 2000))
    start_b = 1000 + length_a * 0
    pairs = np.stack([0 * length_a, length_a, start_b, start_b + length_b, 0 * length_a], axis=1)
    start_a, end_a, start_b, end_b, _ = _trimmed(pairs, 61, ("test",)).T
    left = [one_by_one(a, b, 61) for a, b in zip(length_a.tolist(), length_b.tolist(), strict=True)]
    np.testing.assert_array_equal(np.stack([end_a - start_a, end_b - start_b], axis=1), left)
    assert (start_a >= 0).all()
    assert (end_a <= length_a).all()
    assert (start_b >= 1000).all()
    assert (end_b <= 1000 + length_b).all()


def test_the_longer_segment_is_trimmed_at_both_sides():
    shard = (np.array([500, 5]), np.array([1, 1]))
    pairs = plan(shard, short_seq_prob=0.0, keys=400)
    long_a = pairs[pairs[:, 0] < 490]
    fronts = long_a[:, 0]
    assert (long_a[:, 1] - long_a[:, 0] == 61 - 5).all()
    # 444 tokens go, each from the front or the back by the throw of a coin.
    assert abs(fronts.mean() - 222) < DEVIATIONS * np.sqrt(444 / 4 / len(fronts))
    assert 0.8 < fronts.std() / np.sqrt(444 / 4) < 1.2


def test_a_plan_depends_on_its_key_alone(shard):
    first, again, other = (plan_examples(*shard, 64, ExampleRules(), *key) for key in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[:50], other[:50])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"pairs": "both"}, "`pairs`: 'both' is unknown; choose one of next, order, none"),
        ({"objective": "all"}, "`objective`: 'all' is unknown"),
        ({"short_seq_prob": 1.5}, "`short_seq_prob`: must be a probability from 0 to 1, not 1.5"),
    ],
)
def test_unknown_rules_are_named(wrong, named):
    with pytest.raises(UserError, match=named):
        ExampleRules(**wrong)
