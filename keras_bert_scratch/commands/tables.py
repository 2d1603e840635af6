"""Results as tables, the same for every command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from keras_bert_scratch.training.run_directory import RunDirectory


LEAST_WIDTH = 60  # on a narrower screen columns would vanish, so lines are wider than that


def console_for_tables() -> Console:
    """Returns the screen; tables may be wider than it if it is very narrow, so that they lose nothing."""
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)
    return console


def print_results(title: str, results: Mapping[str, Any]) -> None:
    """Prints the title and a table of names and values; values that are mappings become rows `outer inner`.

    A mapping with the same metrics for several things, such as types of entities, becomes a separate table, a row per
    thing. Lists, such as all evaluations during training, are left out: the run's file has them. So is `None`.
    """
    print(title)
    console, grids = console_for_tables(), []
    table = Table(*(Column(overflow="fold") for _ in range(2)), show_header=False)
    for name, value in _rows(results):
        if isinstance(value, Mapping):
            grids.append((name, value))
        else:
            table.add_row(Text(name.replace("_", " ")), _cell(value))
    console.print(table)
    for name, rows in grids:
        console.print(grid_of(name, rows))


def grid_of(name: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Returns a table of several things that have the same values; `name` is the heading of the things."""
    columns = list(next(iter(rows.values())))
    grid = Table(*(Column(Text(heading.replace("_", " ")), overflow="fold") for heading in (name, *columns)))
    for key, values in rows.items():
        grid.add_row(Text(key), *(_cell(values[column]) for column in columns))
    return grid


def _cell(value: Any) -> Text:
    return Text(value if isinstance(value, str) else "-" if value is None else f"{value:,}")


def _is_grid(value: Mapping[str, Any]) -> bool:
    """Whether this has the same plain values for each of several things."""
    rows = list(value.values())
    return (
        bool(rows)
        and all(isinstance(row, Mapping) and row.keys() == rows[0].keys() for row in rows)
        and not any(isinstance(cell, (Mapping, list)) for row in rows for cell in row.values())
    )


def _rows(results: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in results.items():
        if isinstance(value, Mapping) and _is_grid(value):
            yield f"{outer}{name}", value
        elif isinstance(value, Mapping):
            yield from _rows(value, f"{outer}{name} ")
        elif value is not None and not isinstance(value, list):
            yield f"{outer}{name}", value


def print_run(run: RunDirectory, results: Mapping[str, Any] | None = None) -> None:
    """Prints the results of a finished run, or `results` in their place, and its folder."""
    print_results(str(run.path), run.results if results is None else results)
    files = [name for name in ("metrics.csv", "curves.png", "tensorboard") if (run.path / name).exists()]
    print(f"finished: {run.path}" + f" ({', '.join(files)})" * bool(files))
