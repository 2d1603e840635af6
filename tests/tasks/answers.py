"""Compares nested answers."""

import pytest


def check_same(ours, theirs, tolerance: float = 1e-5) -> None:
    """Asserts that two answers are equal; floats may differ by `tolerance`."""
    if isinstance(ours, (dict, list)):
        keys = ours if isinstance(ours, dict) else range(len(ours))
        assert len(ours) == len(theirs)
        for key in keys:
            check_same(ours[key], theirs[key], tolerance)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, abs=tolerance)
    else:
        assert ours == theirs
