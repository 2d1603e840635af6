"""Rows with their answers as JSON lines, on the screen or in a file."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.filesystem import path_of


def write_lines(rows: Iterable[Mapping[str, Any]], out: Path | None) -> None:
    """Writes each of `rows` as it arrives, to the file `out`, or to the screen if that is `None`.

    Raises:
        UserError: `out` exists, or the disk refuses it.
    """
    rows = iter(rows)
    first = list(itertools.islice(rows, 1))  # an error of the model must come before the file is created
    # JSON can escape the characters that the screen's encoding lacks.
    ascii_only = out is None and not str(sys.stdout.encoding).lower().startswith("utf")
    with _written(out) as write:
        for row in itertools.chain(first, rows):
            write(as_json(row, ascii_only) + "\n")


def as_json(value: Any, ascii_only: bool = False) -> str:
    """Formats a value as JSON on one line; numbers that JSON lacks, NaN and infinities, become `null`.

    Example:
        >>> as_json({"score": float("nan")})
        '{"score": null}'
    """
    try:
        return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False)
    except ValueError:
        return json.dumps(_with_nulls(value), ensure_ascii=ascii_only, allow_nan=False)


def _with_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_nulls(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_nulls(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def _written(out: Path | None) -> Iterator[Any]:
    if out is None:
        yield sys.stdout.write
        return
    atomic.check_is_free(out)
    with atomic.write(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file.write
    print(f"{path_of(out)}: written")
