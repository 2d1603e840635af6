"""Error analysis: a wrong answer, and breakdowns of errors over all rows as numbers; `pictures` draws these."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class WrongAnswer(NamedTuple):
    """A wrong answer to one row.

    Args:
        severity: tuple of float. Larger is worse; compared lexicographically.
        shown: mapping. The right answer, the given one and numbers such as its score, by heading; strings or floats.
    """

    severity: tuple[float, ...]
    shown: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Confusion:
    """A confusion matrix: how often rows of one label were given another.

    Args:
        labels: tuple of str.
        counts: int `(labels, labels)`. Numbers of rows, by gold label and predicted label.

    Example:
        >>> Confusion.of(("no", "yes"), ["no", "no", "yes"], ["no", "yes", "yes"]).table
        {'no': {'no': 1, 'yes': 1}, 'yes': {'no': 0, 'yes': 1}}
    """

    labels: tuple[str, ...]
    counts: np.ndarray

    @classmethod
    def of(cls, labels: Sequence[str], true: Iterable[str], given: Iterable[str]) -> Confusion:
        """Counts the rows."""
        numbers = {label: number for number, label in enumerate(labels)}
        counts = np.zeros((len(labels), len(labels)), np.int64)
        for right, answer in zip(true, given, strict=True):
            counts[numbers[right], numbers[answer]] += 1
        return cls(tuple(labels), counts)

    @property
    def table(self) -> dict[str, dict[str, int]]:
        """The counts by gold label, then by predicted label."""
        return {
            label: dict(zip(self.labels, row, strict=True))
            for label, row in zip(self.labels, self.counts.tolist(), strict=True)
        }

    @property
    def pairs(self) -> list[tuple[int, str, str]]:
        """The confusions: count, gold label and predicted label; the most frequent first."""
        found = [
            (count, label, answer)
            for label, row in self.table.items()
            for answer, count in row.items()
            if count and label != answer
        ]
        return sorted(found, key=lambda pair: -pair[0])


@dataclasses.dataclass(frozen=True)
class ByLabel:
    """Correct, missed and spurious answers for each label.

    Args:
        table: mapping. By label `right`, `missed`, `spurious`, `precision`, `recall`, `f1`; an undefined ratio is 0.

    Example:
        >>> ByLabel.of(("a", "b"), [{("a", 1), ("b", 2)}], [{("a", 1), ("a", 3)}], lambda thing: thing[0]).table["a"]
        {'right': 1, 'missed': 0, 'spurious': 1, 'precision': 0.5, 'recall': 1.0, 'f1': 0.6667}
    """

    table: Mapping[str, Mapping[str, float]]

    @classmethod
    def of(
        cls, labels: Sequence[str], true: Iterable[set[Any]], given: Iterable[set[Any]], label_of: Any = str
    ) -> ByLabel:
        """Counts over rows, each a set of items; `label_of` returns an item's label."""
        counts: dict[Hashable, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
        for right, answers in zip(true, given, strict=True):
            for column, things in enumerate((right & answers, right - answers, answers - right)):
                for thing in things:
                    counts[label_of(thing)][column] += 1
        return cls({label: _ratios(*counts[label]) for label in labels})


@dataclasses.dataclass(frozen=True)
class Scatter:
    """Gold numbers and the predicted ones.

    Args:
        true, given: sequences of float, one of each per row.
        answer: str, default "answer". What the predicted numbers are called.
        same_scale: bool, default True. Whether a right answer equals the gold number; else only the order matters.
    """

    true: Sequence[float]
    given: Sequence[float]
    answer: str = "answer"
    same_scale: bool = True


@dataclasses.dataclass(frozen=True)
class ByGroup:
    """The metrics of groups of rows, each group measured separately.

    Args:
        groups: str. What the groups are, such as `"words of the source"`.
        table: mapping. By group: `rows`, its number of rows, and its metrics; an undefined metric is `None`.
        highest: float, default 100. The maximum value of the metrics.
    """

    groups: str
    table: Mapping[str, Mapping[str, float | None]]
    highest: float = 100.0

    def __post_init__(self) -> None:
        rounded = {group: {name: _rounded(value) for name, value in row.items()} for group, row in self.table.items()}
        object.__setattr__(self, "table", rounded)

    @classmethod
    def by_length(
        cls, what: str, lengths: Sequence[int], measure: Callable[[list[int]], Mapping[str, float | None]]
    ) -> ByGroup:
        """Groups rows by length: 0, 1, 2, 3 to 4, 5 to 8...

        Args:
            what: str. What the lengths count.
            lengths: sequence of int. The length of each row.
            measure: called with the indices of a group's rows; returns their metrics.

        Example:
            >>> ByGroup.by_length("words", [1, 4, 3], lambda rows: {"score": 10.0 * rows[0]}).table
            {'1': {'rows': 1, 'score': 0.0}, '3 to 4': {'rows': 2, 'score': 10.0}}
        """
        groups: dict[int, list[int]] = collections.defaultdict(list)
        for row, length in enumerate(lengths):
            groups[(length - 1).bit_length() if length else -1].append(row)
        return cls(what, {_doubling(n): {"rows": len(groups[n]), **measure(groups[n])} for n in sorted(groups)})


Breakdown = Confusion | ByLabel | Scatter | ByGroup


def _doubling(number: int) -> str:
    """The range of lengths of a group: up to 2 to this power, or 0 for a negative number."""
    last = 2**number if number >= 0 else 0
    return f"{last // 2 + 1:,} to {last:,}" if last > 2 else str(last)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _ratios(right: int, missed: int, spurious: int) -> dict[str, float]:
    def ratio(part: float, whole: float) -> float:
        return _rounded(part / whole) if whole else 0.0

    return {
        "right": right,
        "missed": missed,
        "spurious": spurious,
        "precision": ratio(right, right + spurious),
        "recall": ratio(right, right + missed),
        "f1": ratio(2 * right, 2 * right + missed + spurious),
    }
