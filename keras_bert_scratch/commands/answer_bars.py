"""Answers on a terminal: the candidates of each answer as bars. Programs that read the output get plain lines."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping, Sequence

from rich.bar import Bar
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_bert_scratch.figures import CHOSEN, NONE_CHOSEN, whole_bar

MOST_BARS = 10
WIDTH = 40
INDENT = "  "


def shows_bars() -> bool:
    """Whether the output is a terminal that can show bars."""
    return sys.stdout.isatty() and str(sys.stdout.encoding).lower().startswith("utf")


def print_bars(
    texts: Sequence[str],
    candidates: Mapping[str, Mapping[str, float]],
    exclusive: bool,
    console: Console,
    chosen: Collection[str] | None = None,
) -> None:
    """Prints the input texts, and below them the candidates of each group, the most probable first.

    If the answer is not always the most probable candidate, `chosen` has the candidates to mark as the answer.
    """
    console.print(Text(" | ".join(texts)))
    for group, probabilities in candidates.items():
        if group:
            console.print(Text(f"{INDENT}{group}"))
        table, whole = Table.grid(padding=(0, 1)), whole_bar(probabilities.values(), exclusive)
        shown = most_probable(probabilities, chosen or ())
        for name, probability in shown.items():
            mark = () if chosen is None else (CHOSEN if name in chosen else "",)
            bar = Bar(whole, 0.0, probability if math.isfinite(probability) else 0.0, width=WIDTH)
            table.add_row(INDENT, *mark, Text(name), bar, f"{probability:.3g}")
        console.print(table)
        if whole < 1.0:
            console.print(f"{INDENT} a full bar is {whole:.3g}", highlight=False)
        if chosen is not None:
            console.print(f"{INDENT} {f'{CHOSEN} the answer' if chosen else NONE_CHOSEN}", highlight=False)
        if left := len(probabilities) - len(shown):
            console.print(f"{INDENT} and {left:,} less probable ones", highlight=False)


def most_probable(probabilities: Mapping[str, float], chosen: Collection[str] = ()) -> dict[str, float]:
    """Returns the candidates to show, sorted by probability: the most probable ones, and all `chosen` ones."""
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    return {name: value for rank, (name, value) in enumerate(ranked) if rank < MOST_BARS or name in chosen}
