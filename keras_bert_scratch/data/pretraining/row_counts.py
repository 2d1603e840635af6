"""Stored numbers of rows per shard: a stream that begins at a late step has to count the rows before it.

A count is known only after a shard's rows have been planned. It is stored in a small file, so that a resumed run plans
only the shard that it needs. The file is in `.row_counts` beside the records or, if that cannot be written, in the
user's cache. It is a cache: deleting it costs time, nothing else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, cache_folder
from keras_bert_scratch.version import VERSION

FOLDER = ".row_counts"
WORTH_SAVING_SECONDS = 0.1  # counts that are computed again in less time are not worth a file
COUNTS_AT_ONCE = 1000  # the more counts there are, the longer writing takes, and the less often it is done

log = logging.getLogger(__name__)


class RowCounts:
    """Counts by name, read from a file and added to it.

    Args:
        folder: path. Folder of the records.
        of: dict. Everything that determines the counts, serializable as JSON; the library's version is added.
        kept: bool, default True. Whether there is a file; otherwise the counts are only in memory.

    Example:
        >>> from pathlib import Path
        >>> counts = RowCounts(Path("records"), {"seed": 0, "max_length": 128})
        >>> counts.add("plan 0, shard 0", 1234, seconds=2.0)
        >>> RowCounts(Path("records"), {"seed": 0, "max_length": 128}).get("plan 0, shard 0")
        1234
    """

    def __init__(self, folder: AnyPath, of: dict[str, Any], kept: bool = True) -> None:
        self._of = {**of, "version": VERSION}
        digest = hashlib.sha256(json.dumps(self._of, sort_keys=True).encode()).hexdigest()
        name = f"{digest[:16]}.json"
        self._files: list[AnyPath] = [folder / FOLDER / name, cache_folder() / "row_counts" / name] if kept else []
        self._counts: dict[str, int] = {}
        self._unsaved_seconds = 0.0
        for file in self._files:
            self._counts |= _read(file)

    def get(self, name: str) -> int | None:
        """The count of this name; `None` if it is not known."""
        return self._counts.get(name)

    def __getitem__(self, name: str) -> int:
        return self._counts[name]

    def add(self, name: str, count: int, seconds: float) -> None:
        """Adds a count that took so many seconds to compute; writes the file if the unsaved ones took long."""
        if name in self._counts:
            return
        self._counts[name] = count
        self._unsaved_seconds += seconds
        if self._unsaved_seconds >= WORTH_SAVING_SECONDS * (1 + len(self._counts) / COUNTS_AT_ONCE):
            self._unsaved_seconds = 0.0
            self._save()

    def _save(self) -> None:
        """Writes to the first writable file; another process may have added counts to it in between."""
        while self._files:
            try:
                self._counts |= _read(self._files[0])
                _write(self._files[0], {"of": self._of, "counts": self._counts})
                return
            except (UserError, OSError) as error:
                log.info("%s: cannot be written (%s)", self._files.pop(0), error)


def _read(file: AnyPath) -> dict[str, int]:
    try:
        return {name: int(count) for name, count in json.loads(file.read_bytes())["counts"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # missing or damaged: counted again
        return {}


def _write(file: AnyPath, content: dict[str, Any]) -> None:
    if isinstance(file, Address):
        file.write_bytes(json.dumps(content).encode())
    else:
        atomic.write_text(file, json.dumps(content))  # indented, a million counts would take three times as long
