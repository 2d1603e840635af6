"""Table cells: converts a cell to a text, a label, a number or a list, or says what is wrong with it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from keras_bert_scratch.tasks.data.lines import BadRow

KINDS = ("text", "label", "number", "labels", "texts", "answers")
LARGEST = float(np.finfo(np.float32).max)  # models compute in float32

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = {"nan", "<na>"}  # how pandas writes a missing value as a string
_NOT_BETWEEN_COMMAS = re.compile(r"[;|\[\]]")


def cell_value(value: Any, kind: str, typed: bool) -> Any:
    """Converts a cell to the kind of its column: a `str`, a `float` or a tuple; or a `BadRow` if it is wrong.

    Args:
        value: the value in the file.
        kind: `str`. One of `KINDS`.
        typed: `bool`. Whether the file format distinguishes lists and numbers from strings.

    Example:
        >>> cell_value(" pos", "label", typed=False), cell_value("b,a", "labels", typed=False)
        ('pos', ('b', 'a'))
        >>> cell_value("4,5", "number", typed=False).problem
        "has '4,5', which is not a finite number"
    """
    if value is None:
        return BadRow(f"missing {kind}", "has no value", "complete it or remove the row")
    if kind == "text":
        return _text(value)
    if kind == "number":
        return _number(value)
    if kind in ("texts", "answers"):
        return _texts(value) if kind == "texts" else _answers(value)
    return _label(value) if kind == "label" else _labels(value, typed)


def _text(value: Any) -> str | BadRow:
    if not isinstance(value, str):
        return BadRow("no text", f"has {_shown(value)}, which is not a string", "quote it if it is meant as text")
    if not is_unicode(value):
        return BadRow("no text", "has a lone surrogate or bytes that are not UTF-8", "correct them")
    return value


def _texts(value: Any) -> tuple[str, ...] | BadRow:
    if not isinstance(value, (list, tuple)):
        return BadRow(
            "no list", f"has {_shown(value)}, which is not a list of strings", "write it as a list of strings"
        )
    texts = [_text(item) for item in value]
    return next((text for text in texts if isinstance(text, BadRow)), tuple(texts))


def _answers(value: Any) -> tuple[tuple[str, int], ...] | BadRow:
    """Texts with their start characters: from a list of objects, or from an object of lists as in Hugging Face."""
    entries = value if isinstance(value, list) else [value]
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        starts = value.get("answer_start")
        entries = [
            {"text": text, "answer_start": start} for text, start in zip(value["text"], starts or (), strict=False)
        ]
        entries = entries if len(entries) == len(value["text"]) else [None]
    answers = []
    for entry in entries:
        text, start = (entry.get("text"), entry.get("answer_start")) if isinstance(entry, dict) else (None, None)
        if not isinstance(text, str) or not is_unicode(text) or type(start) is not int:
            fix = 'write a list of objects {"text": ..., "answer_start": ...}'
            return BadRow("no answers", f"has {_shown(value)}, which is not a list of answers", fix)
        answers.append((text, start))
    return tuple(answers)


def _number(value: Any) -> float | BadRow:
    written = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else type(value) in (int, float)
    try:
        number = float(value) if written else math.nan
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if abs(number) <= LARGEST:
        return number
    if math.isfinite(number):
        return BadRow("no number", f"has {_shown(value)}, which is too large for float32", "scale the column")
    return BadRow("no number", f"has {_shown(value)}, which is not a finite number", "write it like 4.5 or -1e-3")


def _label(value: Any) -> str | BadRow:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else str(value)
    if not isinstance(value, str | int):
        return BadRow("no label", f"has {_shown(value)}, which is not a label", "give a name or a number")
    name = str(value).strip()
    if not name:
        return BadRow("blank label", "has a blank label", "complete it or remove the row")
    if name.casefold() in _MISSING:
        problem = f"has the label {name!r}, which stands for a missing value"
        return BadRow("missing label", problem, "complete it or remove the row")
    if len(name.splitlines()) > 1 or not is_unicode(name):
        return BadRow("no label", f"has {_shown(name)}, which is not one line of valid Unicode", "correct it")
    return name


def _labels(value: Any, typed: bool) -> tuple[str, ...] | BadRow:
    if typed and not isinstance(value, list):
        return BadRow("no list", f"has {_shown(value)}, which is not a list of labels", "write it as a list of names")
    if not typed:
        if _NOT_BETWEEN_COMMAS.search(value):
            return BadRow(
                "no list", f"has {_shown(value)}, which is not a list of labels", "separate them by commas only"
            )
        value = value.split(",") if value.strip() else []
    names = [_label(name) for name in value]
    for name in names:
        if isinstance(name, BadRow):
            return name
    if len(set(names)) < len(names):
        return BadRow("repeated label", f"has a label twice, {_shown(value)}", "give it once")
    return tuple(names)


def is_unicode(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8, that is, has no lone surrogate."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
