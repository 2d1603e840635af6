"""Parsing of `--search`: the values of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras_bert_scratch.commands.arguments import PARAMETERS
from keras_bert_scratch.errors import UserError

PAPER = "paper"
EXAMPLE = "learning_rate=2e-5,5e-5"
OF_BOOL = {"true": True, "false": False}


def grid_of(words: Sequence[str], task: str) -> dict[str, list[Any]]:
    """Parses the values of `--search` into a grid.

    Args:
        words: sequence of str. `"NAME=VALUE,VALUE"`, where NAME is that of a flag; or `"paper"`.
        task: str. Name of the task, whose options can be searched too.

    Raises:
        UserError: a word has another form, a name is unknown or given twice, or a value has the wrong type.

    Example:
        >>> grid_of(["learning-rate=2e-5,5e-5", "batch=16"], "classification")
        {'learning_rate': [2e-05, 5e-05], 'batch_size': [16]}
    """
    from keras_bert_scratch.tasks.registry import get_task
    from keras_bert_scratch.tasks.search import PAPER_GRID, searchable

    known = searchable(get_task(task))
    of_flag = {PARAMETERS.get(name, name): name for name in known}
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, given, values = word.partition("=")
        flag = name.strip().removeprefix("--").replace("-", "_")
        if word == PAPER:
            part = {name: list(values) for name, values in PAPER_GRID.items()}
        elif not given:
            raise UserError(f"`search`: {word!r} is not a grid; write {EXAMPLE}, or {PAPER} for the paper's grid")
        elif flag not in of_flag:
            raise UserError(f"`search`: {name!r} is unknown; choose among {', '.join(of_flag)}")
        else:
            kinds = known[of_flag[flag]]
            part = {of_flag[flag]: [_value(text.strip(), kinds, flag) for text in values.split(",")]}
        if twice := grid.keys() & part.keys():
            raise UserError(
                f"`search`: {PARAMETERS.get(min(twice), min(twice))} is given twice; give its values in one `search`"
            )
        grid |= part
    return grid


def _value(text: str, kinds: Sequence[type], flag: str) -> Any:
    """Converts `text` to the first of the types that accepts it."""
    for kind in kinds:
        try:
            return OF_BOOL[text.lower()] if kind is bool else kind(text) if text else float(text)
        except (ValueError, KeyError):
            continue
    raise UserError(f"`search`: {flag} cannot be {text!r}; write values as in {EXAMPLE}")
