"""Chance as a pure function: the same keys give the same numbers, on every machine, in any order, for any part.

A library's generator draws one number after another, so the thousandth needs the 999 before it, and its stream may
change with the library's version. Here a draw is a hash of what it is for (seed, shard, document, ...), so any row's
masks can be made alone, by any worker, at any step.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def random_hash(*parts: Any) -> np.ndarray:
    """A uint64 hash of `parts`: ints, strings or integer arrays, which broadcast.

    Each part is added in and stirred by splitmix64's finalizer (Steele, Lea & Flood 2014, "Fast splittable pseudorandom
    number generators", with the constants of Stafford's Mix13). One int alone gives the first number of Vigna's
    splitmix64 with that seed.

    Example:
        >>> keys = random_hash("masks", 0, np.arange(3))
        >>> keys.shape, keys.dtype
        ((3,), dtype('uint64'))
    """
    state = np.uint64(0)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64 is meant
        for part in parts:
            number = zlib.crc32(part.encode()) if isinstance(part, str) else part
            state = _stirred((state ^ np.asarray(number).astype(np.uint64)) + _GOLDEN)
    return np.asarray(state)


def _stirred(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def uniform(*parts: Any) -> np.ndarray:
    """Numbers from 0 up to below 1, float64, one per hash of `parts`.

    Example:
        >>> bool(0 <= uniform("coin", 7) < 1)
        True
    """
    return (random_hash(*parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def randint(limit: Any, *parts: Any) -> np.ndarray:
    """Whole numbers from 0 up to below `limit`, int64, one per hash of `parts`.

    Example:
        >>> bool(0 <= randint(6, "die", 7) < 6)
        True
    """
    return (uniform(*parts) * limit).astype(np.int64)


def permutation(size: int, *parts: Any) -> np.ndarray:
    """The numbers from 0 up to below `size` in the order that `parts` decide.

    Example:
        >>> sorted(permutation(4, "order", 7).tolist())
        [0, 1, 2, 3]
    """
    return np.argsort(random_hash(*parts, np.arange(size)), kind="stable")
