"""Values of a parametrized test, of which the fast run of the tests uses only some."""

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(fast: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """The values as parameters; tests of those that are not among `fast` are marked slow."""
    fast = list(fast)
    return [value if value in fast else pytest.param(value, marks=pytest.mark.slow) for value in values]
