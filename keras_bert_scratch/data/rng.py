"""Random numbers as pure functions: the same keys give the same numbers, on every machine and in any order.

An ordinary generator computes numbers in sequence: the thousandth needs the 999 before it, and the sequence may change
with the library's version. Here a random number is a hash of what it is for (seed, shard, document, ...). So any worker
can compute the masks of any row at any step without computing others first.

The strings that name a purpose are part of the hash. They must not change, or all records and batches would change.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

LAST = np.uint64(2**64 - 1)  # as a priority: after all others

_GOLDEN_RATIO = np.uint64(0x9E3779B97F4A7C15)


def random_hash(*parts: Any) -> np.ndarray:
    """A uniformly distributed uint64 hash of `parts`.

    Each part is added to the state, which splitmix64's finalizer then mixes (Steele, Lea & Flood 2014, "Fast splittable
    pseudorandom number generators", with the constants of Stafford's Mix13). A single int gives the first number of
    Vigna's splitmix64 with that seed.

    Args:
        parts: ints, strings or integer arrays, which broadcast.

    Example:
        >>> keys = random_hash("masks", 0, np.arange(3))
        >>> keys.shape, keys.dtype
        ((3,), dtype('uint64'))
    """
    state = np.uint64(0)
    with np.errstate(over="ignore"):  # overflow is intended: arithmetic modulo 2^64
        for part in parts:
            number = zlib.crc32(part.encode()) if isinstance(part, str) else part
            state = _finalized((state ^ np.asarray(number).astype(np.uint64)) + _GOLDEN_RATIO)
    return np.asarray(state)


def _finalized(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniform(*parts: Any) -> np.ndarray:
    """Uniformly distributed float64 in [0, 1), one per hash of `parts`.

    Example:
        >>> bool(0 <= uniform("coin", 7) < 1)
        True
    """
    return (random_hash(*parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def randint(limit: Any, *parts: Any) -> np.ndarray:
    """Uniformly distributed int64 in [0, limit), one per hash of `parts`.

    Example:
        >>> bool(0 <= randint(6, "die", 7) < 6)
        True
    """
    return (uniform(*parts) * limit).astype(np.int64)


def permutation(size: int, *parts: Any) -> np.ndarray:
    """A random permutation of the numbers from 0 to `size - 1`, determined by `parts`.

    Example:
        >>> sorted(permutation(4, "order", 7).tolist())
        [0, 1, 2, 3]
    """
    return np.argsort(random_hash(*parts, np.arange(size)), kind="stable")
