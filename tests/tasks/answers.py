"""Comparing answers."""

import pytest


def check_same(ours, theirs) -> None:
    """Asserts that two answers agree, numbers to the fifth decimal."""
    if isinstance(ours, (dict, list)):
        keys = ours if isinstance(ours, dict) else range(len(ours))
        assert len(ours) == len(theirs)
        for key in keys:
            check_same(ours[key], theirs[key])
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, abs=1e-5)
    else:
        assert ours == theirs
