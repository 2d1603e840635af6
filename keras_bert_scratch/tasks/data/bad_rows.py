"""What becomes of rows that are not as they should be: an error, or they are left out and counted."""

from __future__ import annotations

import collections
import logging

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.lines import BadRow

log = logging.getLogger(__name__)


class BadRows:
    """Decides about the rows of one source.

    Args:
        origin: `str`. What messages call the source.
        on_bad_row: `str`. `"fail"` raises at the first bad row, `"skip"` counts it in `skipped`.
        unit: `str`. What there are several of: `"rows"`, `"sentences"`, `"questions"`.

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
        """Whether a row is good.

        Args:
            fault: what is wrong with it, if anything.
            where: `str`. What messages call the row.

        Raises:
            UserError: it is not, and bad rows are errors.
        """
        if fault is None:
            return True
        if not self._skips:
            mend = f"{fault.mend}, or skip such {self.unit} with `on_bad_row='skip'`"
            raise UserError(f"{self.origin}: {where} {fault.problem}; {mend}")
        self.skipped[fault.reason] += 1
        return False

    def report(self) -> None:
        """Logs how many were left out, by reason."""
        for reason, count in self.skipped.items():
            log.warning("%s: left out %d %s: %s", self.origin, count, self.unit, reason)
