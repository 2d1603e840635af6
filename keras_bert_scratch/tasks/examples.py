"""Rows on their way through a task: what its reader gives, and what its model reads of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

# Columns of strings, as tables, `predict` and the exported signature name them.
Raw = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a task's reader gives: columns of strings, and what is right for each row.

    Args:
        origin: str. Where they come from, for messages.
        raw: mapping. Of each column a string, or a list of strings, per row.
        gold: mapping. Arrays with one entry per row, or a list of numbers per row, as the task's `targets` and `score`
            take them.
        digest: str. Names this very content in a run's settings.
        skipped: mapping, default `{}`. How many bad rows were left out, by reason.
        carried: mapping, default `{}`. Columns that only go along to the answers, an empty string where a row has none.
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
    """What a model reads of some rows, and what answers are made with.

    Args:
        inputs: dict. The model's inputs, int32 `(windows, length)` each, the windows of a row one after another.
        token_counts: int32 `(rows,)`. How many tokens each row has with the special ones, of several choices the
            longest, before anything is cut off.
        truncated: bool `(rows,)`. Whether something was cut off, so that the model reads only a part of the row.
        windows: int32 `(rows,)` or `None`, default `None`. How many windows each row has; `None` for one each.
        notes: mapping, default `{}`. Tensors that the task's own `targets` and `decode` need.
    """

    inputs: dict[str, Any]
    token_counts: Any
    truncated: Any
    windows: Any = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
