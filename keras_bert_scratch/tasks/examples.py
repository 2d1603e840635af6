"""Rows of a task: `Examples`, as its reader returns them, and `Features`, as its model reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

# Columns of strings, by the names that tables, `predict` and the exported signature use.
Raw = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a task's reader returns: columns of strings, and the gold answer for each row.

    Args:
        origin: str. Where they come from, for messages.
        raw: mapping. For each column, one string or one list of strings per row.
        gold: mapping. Arrays with one entry per row, or a list of numbers per row, as the task's `targets` and `score`
            expect them.
        digest: str. Identifies this content in a run's settings.
        skipped: mapping, default `{}`. Number of bad rows that were skipped, by reason.
        carried: mapping, default `{}`. Columns that are only copied to the answers; empty where a row has none.
    """

    origin: str
    raw: Mapping[str, Sequence[Any]]
    gold: Mapping[str, Any]
    digest: str
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    carried: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.raw.values())))


@dataclasses.dataclass(frozen=True)
class Features:
    """What a model reads for some rows, and what targets and answers need.

    Args:
        inputs: dict. The model's inputs, int32 `(windows, length)` each, the windows of a row one after another.
        token_counts: int32 `(rows,)`. How many tokens each row has before truncation, special tokens included; for
            several choices, those of the longest one.
        truncated: bool `(rows,)`. Whether the row was truncated, so that the model reads only a part of it.
        windows: int32 `(rows,)` or `None`, default `None`. How many windows each row has; `None` if each has one.
        notes: mapping, default `{}`. Tensors that the task's own `targets` and `decode` need.
    """

    inputs: dict[str, Any]
    token_counts: Any
    truncated: Any
    windows: Any = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
