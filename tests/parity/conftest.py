"""The table of worst differences at the end of a parity run."""

import collections

import pytest

WORST: dict[tuple[str, str], float] = collections.defaultdict(float)


@pytest.fixture
def record(request):
    """Call it with what was compared and how far it was off."""

    def keep(what: str, difference: float) -> None:
        key = (request.node.name, what)
        WORST[key] = max(WORST[key], difference)

    return keep


def pytest_terminal_summary(terminalreporter):
    if WORST:
        terminalreporter.section("worst differences")
        for (test, what), difference in WORST.items():
            terminalreporter.write_line(f"{difference:.1e}  {what}  {test}")
