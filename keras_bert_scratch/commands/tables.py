"""Results as tables, the same for every verb."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from keras_bert_scratch.training.run_directory import RunDirectory


def print_results(title: str, results: Mapping[str, Any]) -> None:
    """The title and a table of names and values; values that are tables themselves become rows `outer inner`.

    Left out are lists, such as all that was measured while training: the file has them; and what is `None`.
    """
    print(title)
    table = Table(show_header=False)
    for name, value in _rows(results):
        table.add_row(name.replace("_", " "), value if isinstance(value, str) else f"{value:,}")
    Console().print(table)


def _rows(results: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{outer}{name} ")
        elif value is not None and not isinstance(value, list):
            yield f"{outer}{name}", value


def print_run(run: RunDirectory) -> None:
    """What a finished run came to, and where it lies."""
    print_results(str(run.path), run.results)
    print(f"finished: {run.path} (metrics.csv, curves.png, tensorboard/)")
