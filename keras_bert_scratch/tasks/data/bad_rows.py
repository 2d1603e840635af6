"""Handling of bad rows: each raises an error, or is skipped and counted."""

from __future__ import annotations

import collections
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.table_formats import IN_MEMORY

log = logging.getLogger(__name__)

# Maps a row's values, by column, to what is wrong with them, or to `None` for a good row.
Fault = Callable[[Mapping[str, Any]], BadRow | None]


class BadRows:
    """Accepts or rejects the rows of one source.

    Args:
        origin: `str`. Name of the source in messages.
        on_bad_row: `str`. `"fail"` raises at the first bad row, `"skip"` counts it in `skipped`.
        unit: `str`. Plural noun for the rows in messages: `"rows"`, `"sentences"`, `"questions"`.

    Example:
        >>> bad = BadRows("a.conll", "skip", "sentences")
        >>> bad.keeps(None, "line 1"), bad.keeps(BadRow("no tag", "has no tag", "give it one"), "line 2")
        (True, False)
        >>> dict(bad.skipped)
        {'no tag': 1}
    """

    def __init__(self, origin: str, on_bad_row: str, unit: str) -> None:
        self.origin, self.unit = origin, unit
        self.skipped: collections.Counter[str] = collections.Counter()
        self._skips = on_bad_row == "skip"

    def keeps(self, fault: BadRow | None, where: str) -> bool:
        """Whether a row is good; counts a bad row in `skipped`.

        Args:
            fault: what is wrong with the row; `None` if it is good.
            where: `str`. Name of the row in messages.

        Raises:
            UserError: the row is bad and `on_bad_row` is `"fail"`.
        """
        if fault is None:
            return True
        if not self._skips:
            fix = f"{fault.fix}, or skip such {self.unit} with `on_bad_row='skip'`"
            raise UserError(f"{self.origin}: {where} {fault.problem}; {fix}")
        self.skipped[fault.reason] += 1
        return False

    def report(self) -> None:
        """Logs how many rows were skipped, by reason."""
        report_skipped(self.origin, self.skipped, self.unit)


def report_skipped(origin: str, skipped: Mapping[str, int], unit: str = "rows") -> None:
    """Logs how many rows were skipped, by reason."""
    for reason, count in skipped.items():
        log.warning("%s: left out %d %s: %s", origin, count, unit, reason)


def with_report(reader: Any) -> Iterator[Any]:
    """Yields the rows of a `TableReader`; then logs how many were skipped, by reason."""
    yield from reader
    report_skipped(reader.path, reader.skipped)


def rows_without_fault(reader: Any, fault: Fault, on_bad_row: str) -> Iterator[Any]:
    """Yields the rows of a table that a task can use; counts the others in `reader.skipped` and logs the counts.

    Args:
        reader: `TableReader`.
        fault: returns what is wrong with a row's values, or `None`.
        on_bad_row: `str`. `"fail"` raises at the first bad row, `"skip"` skips it.

    Raises:
        UserError: a row is bad and `on_bad_row` is `"fail"`; or every row is bad.
    """
    bad, num_rows = BadRows(reader.path, on_bad_row, "rows"), 0
    for row in reader:
        if bad.keeps(fault(row.values), f"{reader.unit} {row.line}"):
            num_rows += 1
            yield row
    reader.skipped.update(bad.skipped)
    bad.skipped = reader.skipped
    bad.report()
    if not num_rows:
        raise UserError(f"{reader.path}: every row is bad ({', '.join(bad.skipped)}); correct the file")


def check_rows(columns: Mapping[str, Sequence[Any]], fault: Fault) -> None:
    """Raises `UserError` for the first bad row of columns in memory.

    Args:
        columns: columns of equal length, by name.
        fault: returns what is wrong with a row's values, or `None`.
    """
    for number, row in enumerate(zip(*columns.values(), strict=True), 1):
        if found := fault(dict(zip(columns, row, strict=True))):
            raise UserError(f"{IN_MEMORY}: row {number} {found.problem}; {found.fix}")
