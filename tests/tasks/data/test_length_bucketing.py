import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_bert_scratch.tasks.data.length_bucketing import (
    WINDOW_BATCHES,
    TokenBudget,
    bucketed_batches,
    sorted_batches,
)


def lengths(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(2, 60, count)


def batches(num_tokens: np.ndarray, batch_size: int, count: int, seed: int = 0, first_step: int = 0) -> np.ndarray:
    return np.stack(list(itertools.islice(bucketed_batches(num_tokens, batch_size, seed, first_step), count)))


# Fewer texts than a batch, epochs far shorter than a window, about as long, and longer.
SIZES = [(3, 8), (10, 4), (199, 4), (200, 4), (201, 4), (450, 4), (7, 1)]


@pytest.mark.parametrize(("texts", "batch_size"), SIZES)
def test_every_epoch_has_every_text_once(texts, batch_size):
    steps = max(3 * WINDOW_BATCHES, -(-3 * texts // batch_size))
    stream = batches(lengths(texts), batch_size, steps).ravel()
    epochs = [stream[start : start + texts] for start in range(0, len(stream) - texts + 1, texts)]
    assert len(epochs) >= 3
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(texts))
    assert texts < 5 or any(epochs[0].tolist() != epoch.tolist() for epoch in epochs[1:])


@pytest.mark.parametrize(("texts", "batch_size"), SIZES)
@pytest.mark.parametrize("first_step", [1, WINDOW_BATCHES - 1, WINDOW_BATCHES, 2 * WINDOW_BATCHES + 7])
def test_the_stream_can_start_anywhere(texts, batch_size, first_step):
    straight = batches(lengths(texts), batch_size, first_step + 60)[first_step:]
    np.testing.assert_array_equal(straight, batches(lengths(texts), batch_size, 60, first_step=first_step))


def test_a_far_step_costs_no_more_than_the_first():
    """Counting up to it would take years."""
    assert len(batches(lengths(1000), 32, 1, first_step=10**12)) == 1


def test_within_a_window_the_batches_are_the_sorted_texts_cut():
    num_tokens = lengths(1000)
    window = batches(num_tokens, 4, WINDOW_BATCHES)
    by_length = np.sort(np.sort(num_tokens[window.ravel()]).reshape(WINDOW_BATCHES, 4), axis=0)
    found = np.sort(num_tokens[window], axis=1)
    np.testing.assert_array_equal(found[np.lexsort(found.T[::-1])], by_length)


def test_the_batches_come_in_random_order():
    """Short and long batches alternate at random: the correlation of position and length is that of a shuffle.

    Over 40 windows of 50 batches, its mean has a standard error of 1 / sqrt(49 * 40) = 0.023. Four standard errors are
    0.09, which chance exceeds once in 16,000 times.
    """
    num_tokens = lengths(40 * WINDOW_BATCHES * 4)
    means = num_tokens[batches(num_tokens, 4, 40 * WINDOW_BATCHES)].mean(axis=1).reshape(40, WINDOW_BATCHES)
    correlations = [np.corrcoef(window, np.arange(WINDOW_BATCHES))[0, 1] for window in means]
    assert abs(np.mean(correlations)) < 0.09
    orders = {tuple(np.argsort(window).tolist()) for window in means}
    assert len(orders) == 40  # each window has its own order


def test_texts_of_one_length_meet_at_random():
    """With equal lengths there is nothing to sort: over two epochs hardly any batch repeats."""
    stream = batches(np.full(400, 9), 4, 200)
    first, second = ({tuple(sorted(batch)) for batch in half.tolist()} for half in (stream[:100], stream[100:]))
    # Of 100 batches 100 * 100 / C(400, 4) = 1e-5 are expected to repeat.
    assert not first & second


def test_a_batch_of_two_epochs_joins_long_with_long_or_short_with_short():
    stream = batches(np.arange(2, 63), 4, 31)  # of the texts 0 to 60, each is longer than the one before
    assert sorted(stream[15].tolist()) == [58, 59, 60, 60]  # one text of the first epoch, three of the second
    assert sorted(stream[30].tolist()) == [0, 0, 1, 1]  # two of the second, two of the third


def test_another_seed_is_another_order():
    assert (batches(lengths(400), 4, 100, seed=0) != batches(lengths(400), 4, 100, seed=1)).any()


def test_the_order_is_that_of_earlier_versions():
    """A run that an earlier version began resumes with the batches that it would have seen."""
    digest = hashlib.sha256()
    for texts, batch_size, seed, first_step in [(10, 4, 0, 0), (450, 4, 1, 7), (1000, 32, 3, 0), (7, 1, 0, 60)]:
        digest.update(batches(lengths(texts), batch_size, 150, seed, first_step).tobytes())
    assert digest.hexdigest() == "8b0e0d186d442f344285b86aa8f4c431a27d9768a6594a20c9626902eb634911"


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 8))
def test_sorted_batches_hold_every_text_once_by_length(num_tokens, batch_size):
    found = sorted_batches(np.array(num_tokens, np.int64), batch_size)
    assert [len(batch) for batch in found[:-1]] == [batch_size] * (len(found) - 1)
    order = [text for batch in found for text in batch.tolist()]
    assert order == sorted(range(len(num_tokens)), key=num_tokens.__getitem__)  # Python's sort is stable
    assert all(len(batch) > 0 for batch in found)


BUDGETS = [(200, 120, 1), (200, 120, 4), (201, 300, 8), (7, 60, 2), (3, 500, 8), (50, 1, 3)]


@pytest.mark.parametrize(("texts", "batch_tokens", "multiple"), BUDGETS)
def test_batches_of_a_token_budget(texts, batch_tokens, multiple):
    num_tokens = lengths(texts)
    budget = TokenBudget(num_tokens, batch_tokens, multiple)
    stream = budget.batches(seed=0)
    epochs = [list(itertools.islice(stream, len(budget))) for _ in range(3)]
    shapes = []
    for epoch in epochs:
        seen = np.concatenate(epoch)
        assert set(seen.tolist()) == set(range(texts))
        assert len(seen) - texts < multiple  # repeated texts that fill up the batch of the longest
        for batch in epoch:
            assert len(batch) % multiple == 0
            assert len(batch) * num_tokens[batch].max() <= batch_tokens or len(batch) == multiple
        shapes.append(sorted((len(batch), num_tokens[batch].max()) for batch in epoch))
    assert shapes[0] == shapes[1] == shapes[2]
    assert texts < 8 or [batch.tolist() for batch in epochs[0]] != [batch.tolist() for batch in epochs[1]]


def test_a_token_budget_is_used():
    """No batch has room for one more row of the next length."""
    num_tokens = lengths(500)
    budget = TokenBudget(num_tokens, 240)
    found = sorted(
        itertools.islice(budget.batches(0), len(budget)),
        key=lambda batch: (*np.sort(num_tokens[batch])[[0, -1]], -len(batch)),
    )
    for batch, following in itertools.pairwise(found):
        assert (len(batch) + 1) * num_tokens[following].min() > 240


@pytest.mark.parametrize("first_step", [0, 1, 40, 10**12])
def test_a_token_budget_can_start_anywhere(first_step):
    budget = TokenBudget(lengths(200), 120)
    epoch, before = divmod(first_step, len(budget))
    straight = itertools.islice(budget.batches(3, epoch * len(budget)), before, before + 60)
    for left, right in zip(straight, itertools.islice(budget.batches(3, first_step), 60), strict=True):
        np.testing.assert_array_equal(left, right)
