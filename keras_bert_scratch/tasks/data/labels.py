"""Label names: their order, and the error message for an unknown one."""

from __future__ import annotations

import decimal
import re
from collections.abc import Iterable, Sequence

from keras_bert_scratch.tasks.data.lines import BadRow

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


def label_order(names: Iterable[str]) -> tuple[str, ...]:
    """The distinct names, sorted by value if all are numbers, else as text.

    Example:
        >>> label_order(["10", "2", "2"]), label_order(["10", "2", "none"])
        (('2', '10'), ('10', '2', 'none'))
    """
    distinct = set(names)
    if all(_NUMBER.fullmatch(name) for name in distinct):
        return tuple(sorted(distinct, key=lambda name: (decimal.Decimal(name), name)))
    return tuple(sorted(distinct))


def unknown_label(label: str, names: Sequence[str]) -> BadRow:
    """The fault of a row whose `label` is none of `names`.

    Example:
        >>> unknown_label("Pos", ("neg", "pos")).problem
        "has the label 'Pos', which is not one of 'neg', 'pos'"
        >>> unknown_label("Pos", ("neg", "pos")).fix
        "did you mean 'pos'?"
    """
    listed = ", ".join(map(repr, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    meant = [name for name in names if _bare(name) == _bare(label)]
    fix = f"did you mean {meant[0]!r}?" if len(meant) == 1 else "correct it, or train with it"
    return BadRow("unknown label", f"has the label {label!r}, which is not one of {listed}", fix)


def first_score(labels: Sequence[str]) -> int | None:
    """The position of the first label with a fractional part, if all labels are numbers: scores, not classes.

    Example:
        >>> first_score(["1", "2.5"]), first_score(["1.0", "2"]), first_score(["2.5", "none"])
        (1, None, None)
    """
    distinct = set(labels)
    if not all(map(_NUMBER.fullmatch, distinct)):
        return None
    scores = {name for name in distinct if decimal.Decimal(name) % 1}
    return next((number for number, label in enumerate(labels) if label in scores), None)


def _bare(name: str) -> str:
    """`name` without accidental differences: case, blanks, `_`, `-`, and the `.0` of a whole number."""
    return re.sub(r"[\s_-]+", "", re.sub(r"^([0-9]+)\.0+$", r"\1", name.strip())).casefold()
