"""Random numbers as functions of keys; by chance a bound fails for one key in ten thousand, and the keys are fixed."""

import itertools

import numpy as np
import pytest

from keras_bert_scratch.data import rng

COUNT = 50_000
NUMBERS = np.arange(COUNT)
STREAMS = {
    "keys in a row": lambda: rng.random_hash(NUMBERS),
    "keys that differ in high bits": lambda: rng.random_hash(NUMBERS.astype(np.uint64) << np.uint64(40)),
    "the last part": lambda: rng.random_hash("purpose", 7, NUMBERS),
    "a part before others": lambda: rng.random_hash("purpose", NUMBERS, 7, 0),
    "keys of keys": lambda: rng.random_hash(rng.random_hash("rows", NUMBERS), "lot", 3),
    "names": lambda: np.array([rng.random_hash(f"shard-{number}") for number in range(COUNT)]),
}
PAIRS = {
    "neighbouring keys": lambda: (rng.random_hash(NUMBERS), rng.random_hash(NUMBERS + 1)),
    "neighbouring parts": lambda: (rng.random_hash(NUMBERS, 0), rng.random_hash(NUMBERS, 1)),
    "neighbouring seeds": lambda: (rng.random_hash(0, NUMBERS), rng.random_hash(1, NUMBERS)),
    "two purposes": lambda: (rng.random_hash(NUMBERS, "lot"), rng.random_hash(NUMBERS, "fate")),
    "parts in another order": lambda: (rng.random_hash(NUMBERS, 1, 2), rng.random_hash(NUMBERS, 2, 1)),
    "a part more": lambda: (rng.random_hash(NUMBERS), rng.random_hash(NUMBERS, 0)),
    "a key and its hash": lambda: (NUMBERS.astype(np.uint64) << np.uint64(48), rng.random_hash(NUMBERS)),
}


def is_even(counts: np.ndarray, deviations: float = 5) -> bool:
    """Whether chi-square against equal parts is within five of its standard deviations of its mean."""
    freedom = counts.size - 1
    chi_square = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    return abs(chi_square - freedom) < deviations * np.sqrt(2 * freedom)


def signs(hashes: np.ndarray) -> np.ndarray:
    """The 64 bits of each hash as -1 and 1, `(hashes, 64)`."""
    return 2.0 * ((hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).astype(float) - 1


@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)
def test_hashes_are_even(stream):
    """Each byte of the hash, low to high, is uniform over its 256 values; no hash occurs twice."""
    hashes = stream()
    assert len(np.unique(hashes)) == COUNT
    for shift in range(0, 64, 8):
        assert is_even(np.bincount((hashes >> np.uint64(shift)).astype(np.uint8), minlength=256))


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_hashes_are_not_correlated(pair):
    """No bit of one predicts a bit of the other: 4,096 correlations, each within six standard deviations."""
    one, other = (signs(hashes) for hashes in pair())
    assert np.isfinite(one).all()
    assert np.abs(one.T @ other / COUNT).max() < 6 / np.sqrt(COUNT)


def test_any_bit_of_a_key_turns_half_of_the_bits():
    keys = rng.random_hash("keys", np.arange(2000))
    flipped = keys[:, None] ^ (np.uint64(1) << np.arange(64, dtype=np.uint64))
    turned = np.bitwise_count(rng.random_hash(keys[:, None], "lot") ^ rng.random_hash(flipped, "lot"))
    assert np.abs(turned.mean(axis=0) - 32).max() < 5 * 4 / np.sqrt(2000)


# --- the numbers of the stream, so that no change goes unnoticed


@pytest.mark.parametrize(
    ("steps", "number"),
    enumerate(
        [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    ),
)
def test_one_int_gives_splitmix64s_number(steps, number):
    """The published first numbers of Vigna's splitmix64 for the seed 1234567; its state grows by a constant."""
    assert rng.random_hash((1234567 + steps * 0x9E3779B97F4A7C15) % 2**64) == number


@pytest.mark.parametrize(
    ("draw", "value"),
    [
        (
            lambda: rng.random_hash("masks", 5, [0, 1, 2**40 - 1]).tolist(),
            [14103110410766201801, 17420344199200863326, 17149486167206908946],
        ),
        (lambda: rng.uniform("masks", 0, [0, 1]).tolist(), [0.7284132982613037, 0.8008232677085745]),
        (lambda: rng.randint(30522, "tokens", 1, [0, 1]).tolist(), [29528, 4370]),
        (lambda: rng.permutation(6, "order", 2).tolist(), [1, 5, 3, 2, 0, 4]),
    ],
    ids=["random_hash", "uniform", "randint", "permutation"],
)
def test_the_stream_stays_the_same(draw, value):
    assert draw() == value


# --- shapes and ranges


def test_parts_broadcast():
    table = rng.random_hash("lot", np.arange(3)[:, None], np.arange(4))
    assert table.shape == (3, 4)
    for row, column in itertools.product(range(3), range(4)):
        assert table[row, column] == rng.random_hash("lot", row, column)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_a_number_is_the_same_in_any_type(dtype):
    np.testing.assert_array_equal(
        rng.random_hash("lot", np.arange(100, dtype=dtype)), rng.random_hash("lot", np.arange(100))
    )


def test_uniform_fills_the_interval_evenly():
    numbers = rng.uniform("coin", NUMBERS)
    assert numbers.dtype == np.float64
    assert 0 <= numbers.min() < 1e-3
    assert 1 - 1e-3 < numbers.max() < 1
    assert is_even(np.histogram(numbers, bins=1000, range=(0, 1))[0])


@pytest.mark.parametrize("limit", [1, 2, 6, 1000, 2**40 + 1])
def test_below_reaches_every_number_evenly(limit):
    numbers = rng.randint(limit, "die", NUMBERS)
    assert numbers.dtype == np.int64
    assert 0 <= numbers.min() <= numbers.max() < limit
    counts = np.bincount(numbers * min(limit, 1000) // limit, minlength=min(limit, 1000))
    assert limit == 1 or is_even(counts)


def test_below_takes_a_limit_for_each():
    limits = np.array([[3], [10]])
    drawn = rng.randint(limits, "die", np.arange(1000))
    assert [set(row.tolist()) for row in drawn] == [set(range(3)), set(range(10))]


@pytest.mark.parametrize("size", [0, 1, 5, 1000])
def test_shuffled_is_a_permutation(size):
    assert sorted(rng.permutation(size, "order", 1).tolist()) == list(range(size))


def test_every_order_is_equally_likely():
    orders = [tuple(rng.permutation(4, "order", number).tolist()) for number in range(12_000)]
    counts = np.array([orders.count(order) for order in itertools.permutations(range(4))])
    assert counts.sum() == 12_000
    assert is_even(counts)
