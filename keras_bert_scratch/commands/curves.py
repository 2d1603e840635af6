"""`keras-bert curves`: compare runs, on the screen and as a picture."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keras_bert_scratch import figures
from keras_bert_scratch.filesystem import path_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.table import Table

    from keras_bert_scratch.training.logged_runs import LoggedRun

EXAMPLE = "keras-bert curves demo/pretrained demo/order_from_pretrained --out curves.png"
MOST_COLUMNS = 6  # runs that are shown as columns; more become rows


def curves(
    runs: Annotated[
        list[Path], typer.Argument(help="Folders of runs, finished or not; also of several seeds, a search or GLUE.")
    ],
    out: Annotated[Path | None, typer.Option(help="The .png to draw.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Metrics to compare, of metrics.csv and run.json; by default the most informative ones."),
    ] = None,
    by: Annotated[str, typer.Option(help="Horizontal axis of the picture: steps, tokens or time.")] = "steps",
) -> None:
    """Compare runs: the best value of each metric, the settings that differ, and the curves as a picture."""
    from keras_bert_scratch.commands.tables import console_for_tables
    from keras_bert_scratch.training.curves import panels_of, plot_curves
    from keras_bert_scratch.training.logged_runs import (
        by_task,
        comparison_warnings,
        differing_settings,
        read_logged_runs,
    )

    if out is not None:
        figures.check_name(out, "out")
    metrics = list(dict.fromkeys(metric or ()))
    figure = plot_curves(runs, metrics=metrics, by=by)
    if out is not None:
        figures.write(figure, out)
    console = console_for_tables()
    for task, some in by_task(read_logged_runs(runs)).items():
        names = [name for name in panels_of(some, metrics) if name != "learning_rate"]
        with_held_out = any(run.held_out for run in some)
        trained = [name for name in metrics if not any(run.measured(name) for run in some)]
        print(f"{task}: {'best values on held-out data, with steps' if with_held_out else 'values at the last step'}")
        console.print(_measured(some, names, with_held_out, trained))
        if differing := differing_settings(some):
            console.print(_differing([run.name for run in some], differing))
        for line in comparison_warnings(some):
            console.print(f"note: {line}", markup=False, highlight=False, soft_wrap=True)
    if out is not None:
        print(f"{path_of(out)}: written")


def _measured(runs: Sequence[LoggedRun], names: Sequence[str], with_held_out: bool, trained: Sequence[str]) -> Table:
    """Returns a table of a task's runs: state, step, time and metrics.

    Args:
        runs, names: the runs and the metrics.
        with_held_out: bool. Whether to show the best values on held-out data; else all values are training's last ones.
        trained: the metrics to show with training's last value in any case.
    """
    marked = trained if with_held_out else ()
    heading = ["run", "state", "step", "time"]
    heading += [name.replace("_", " ") + " (training, last)" * (name in marked) for name in names]
    lines = []
    for run in runs:
        seconds = run.rows[-1].get("seconds")
        time = None if seconds is None else str(datetime.timedelta(seconds=round(seconds)))
        lines.append([run.name, run.status, f"{run.rows[-1]['step']:,}", time])
        for name in names:
            is_best = with_held_out and name not in trained
            lines[-1].append(_point(run.best(name)) if is_best else _point(*run.trained(name)[-1:]))
    columns = zip(heading, *lines, strict=True)
    heading, *lines = zip(*(column for column in columns if any(column[1:])), strict=True)
    return _table(heading, lines)


def _differing(runs: Sequence[str], settings: dict[str, list[str]]) -> Table:
    """Returns a table of the settings that differ: runs as columns, or as rows if there are many."""
    last = [name.rpartition(".")[2] for name in settings]
    names = [short if last.count(short) == 1 else name for name, short in zip(settings, last, strict=True)]
    lines = [[name.replace("_", " "), *values] for name, values in zip(names, settings.values(), strict=True)]
    if len(runs) <= MOST_COLUMNS:
        return _table(["differs", *runs], lines)
    heading, *values = zip(["differs", *runs], *lines, strict=True)
    return _table(heading, values)


def _table(heading: Iterable[str], lines: Iterable[Iterable[str | None]]) -> Table:
    """Returns a table whose headings wrap on a narrow screen, instead of being cut."""
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(*(Column(Text(name), overflow="fold") for name in heading))
    for cells in lines:
        table.add_row(*(Text(cell or "-") for cell in cells))
    return table


def _point(point: tuple[int, float] | None = None) -> str | None:
    return None if point is None else f"{point[1]:.4g} at {point[0]:,}"
