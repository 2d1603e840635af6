"""The groups of cases, in the order of the issue."""

from __future__ import annotations

from benchmarks.cases import (
    addresses,
    backends,
    disks,
    fitting,
    labels,
    library,
    paths,
    runs,
    saving,
    settings,
    tables,
    vocabularies,
)
from benchmarks.cases.case import Group


def all_groups() -> list[Group]:
    """Section 2, what Keras users meet, then section 3, what goes wrong in silence."""
    modules = (
        saving,
        fitting,
        library,
        tables,
        labels,
        settings,
        vocabularies,
        paths,
        disks,
        runs,
        addresses,
        backends,
    )
    return [group for module in modules for group in module.GROUPS]
