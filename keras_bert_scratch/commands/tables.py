"""Results as tables, the same for every verb."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from keras_bert_scratch.training.run_directory import RunDirectory


def print_results(title: str, results: Mapping[str, Any]) -> None:
    """The title and a table of names and values; values that are tables themselves become rows `outer inner`.

    A list, such as all that was measured while training, is left to the file that holds it.
    """
    print(title)
    table = Table(show_header=False)
    for name, value in results.items():
        if isinstance(value, list):
            continue
        for inner, number in value.items() if isinstance(value, Mapping) else [("", value)]:
            if number is not None:
                shown = number if isinstance(number, str) else f"{number:,}"
                table.add_row(f"{name} {inner}".strip().replace("_", " "), shown)
    Console().print(table)


def print_run(run: RunDirectory) -> None:
    """What a finished run came to, and where it lies."""
    print_results(str(run.path), run.results)
    print(f"finished: {run.path} (metrics.csv, curves.png, tensorboard/)")
