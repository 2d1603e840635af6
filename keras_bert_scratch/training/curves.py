"""Curves: the metrics that runs logged during training, and their results on held-out data, as one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_bert_scratch import figures
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.training.callbacks import METRICS_FILE
from keras_bert_scratch.training.logged_runs import (
    LoggedRun,
    by_task,
    comparison_warnings,
    differing_settings,
    read_logged_runs,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BY = ("steps", "tokens", "time")
LABELS = {
    "masked_lm_accuracy": "masked-LM accuracy",
    "next_sentence_accuracy": "next-sentence accuracy",
    "learning_rate": "learning rate",
}
UNITS = ((2 * 3600.0, 3600.0, "hours"), (120.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
MARKERS = "os^DvPX*"
TRAINING, HELD_OUT = "-", "--"
MARKS = 8  # on a line with many points
FEW_POINTS = 24  # up to this many, every point has a mark
MOST_IN_LEGEND = 2  # differing settings; if there are more, the legend shows none
PANEL = (4.0, 2.8)  # inches
LEGEND_LINE, LEGEND_MARK, CHARACTERS = 0.22, 0.6, 12  # inches per line and per mark; characters of a name per inch


def plot_curves(
    runs: Any, picture: AnyPath | str | None = None, metrics: Sequence[str] = (), by: str = "steps"
) -> Figure:
    """Plots losses, accuracies and learning rate of runs: one row of panels per task, one line per run.

    Results on the training data are solid lines, results on held-out data dashed lines. The legend has the shortest
    names that distinguish the runs, and adds the settings that differ if there are only one or two.

    Args:
        runs: path, list of paths, or mapping of name to path. Folders of runs, finished or not; or folders that contain
            the runs of several seeds, of a search or of GLUE.
        picture: path or None, default None. The PNG to write, if any; an existing file is overwritten.
        metrics: sequence of str, default (). What to plot, by the names in `metrics.csv` and in `evaluations` of
            `run.json`; empty means loss, all scores, the metric that selects the best model, and learning rate.
        by: str, default "steps". The x-axis: `"steps"`, `"tokens"` without padding, or `"time"`.

    Returns: a matplotlib `Figure`, which a notebook shows.

    Raises:
        UserError: a folder holds no run, a file is damaged, no run has a metric, or `by` is unknown.

    Example:
        >>> from pathlib import Path
        >>> from keras_bert_scratch.training.run_directory import RunDirectory
        >>> for name, rate in (("slow", 1e-4), ("fast", 1e-3)):
        ...     RunDirectory(name, {"task": "pretraining", "training": {"learning_rate": rate}}).close()
        ...     _ = Path(name, "metrics.csv").write_text("step,loss\\n20,9.0\\n40,8.5\\n")
        >>> figure = plot_curves(["slow", "fast"], metrics=["loss"])
        >>> [text.get_text() for text in figure.legends[0].get_texts()][:2]
        ['slow (learning rate 0.0001)', 'fast (learning rate 0.001)']
    """
    logged = read_logged_runs(runs)
    if by not in BY:
        raise UserError(f"`by`: {by!r} is unknown; choose one of {', '.join(BY)}")
    tasks = by_task(logged)
    panels = {task: panels_of(some, metrics) for task, some in tasks.items()}
    _check_there(panels, metrics, logged)
    rows = {task: names for task, names in panels.items() if names}
    if not rows:
        raise UserError(f"{logged[0].path / METRICS_FILE}: has no loss, score or learning rate to plot")
    columns = max(map(len, rows.values()))

    logged = [run for task in rows for run in tasks[task]]
    labels = [label for task in rows for label in legend_labels(tasks[task])]
    width = PANEL[0] * max(columns, 1.5)
    in_legend = max(1, int(width / (LEGEND_MARK + max(map(len, [*labels, "training"])) / CHARACTERS)))
    legend_lines = -(-(len(labels) + 2) // in_legend)
    figure = figures.new_figure(width, PANEL[1] * len(rows) + LEGEND_LINE * (legend_lines + 2))
    unit = _unit_of(logged) if by == "time" else (1.0, by)
    numbers = {id(run): number for number, run in enumerate(logged)}
    for axes, (task, names) in zip(figure.subplots(len(rows), columns, squeeze=False), rows.items(), strict=True):
        for axis in axes[len(names) :]:
            axis.set_visible(False)
        for axis, name in zip(axes, names, strict=False):
            for run in tasks[task]:
                _draw_run(axis, run, name, _look(numbers[id(run)]), by, unit[0])
            axis.set_title(f"{task}: {LABELS.get(name, name.replace('_', ' '))}", fontsize=10, **figures.PLAIN)
            _label_steps(axis, by, unit[1])
            axis.ticklabel_format(axis="y", scilimits=(-3, 5))
            axis.grid(alpha=0.3)
    _add_legend(figure, labels, any(run.held_out for run in logged), in_legend)
    figures.finished(
        figure, "\n".join([_title(logged), *(line for task in rows for line in comparison_warnings(tasks[task]))])
    )
    if picture is not None:
        figures.write(figure, picture)
    return figure


def panels_of(runs: Sequence[LoggedRun], metrics: Sequence[str] = ()) -> list[str]:
    """The metrics to plot for runs of one task: those of `metrics` that they have; if it is empty, the default."""
    if metrics:
        return [name for name in metrics if any(run.trained(name) or run.measured(name) for run in runs)]
    scores = dict.fromkeys(name for run in runs for name in [*run.scores, *filter(None, [run.best_by])])
    return [*scores, *["learning_rate"] * any(run.trained("learning_rate") for run in runs)]


def legend_labels(runs: Sequence[LoggedRun]) -> list[str]:
    """The runs' names, with the settings that differ, unless these are many or already part of the name."""
    differing = differing_settings(runs)
    if not 0 < len(differing) <= MOST_IN_LEGEND:
        return [run.name for run in runs]
    labels = []
    for number, run in enumerate(runs):
        told = [(name.rpartition(".")[2], values[number]) for name, values in differing.items()]
        left = [f"{name.replace('_', ' ')} {value}" for name, value in told if not _is_told(run.name, name, value)]
        labels.append(f"{run.name} ({', '.join(left)})" if left else run.name)
    return labels


def _is_told(run: str, name: str, value: str) -> bool:
    return f"{name}={value}" in run or f"{name}-{value}" in run


def _check_there(panels: Mapping[str, Sequence[str]], metrics: Sequence[str], runs: Sequence[LoggedRun]) -> None:
    for name in metrics:
        if not any(name in names for names in panels.values()):
            known = {key for run in runs for key in [*run.rows[-1], *(run.held_out[-1] if run.held_out else ())]}
            told = ", ".join(sorted(known - {"step", "examples"}))
            raise UserError(f"`metrics`: no run has {name!r}; the runs have {told}")


def _look(number: int) -> dict[str, str]:
    """Colour and mark of a run's lines; there are 56 combinations."""
    return {"color": figures.COLOURS[number % len(figures.COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _draw_run(axis: Any, run: LoggedRun, name: str, look: Mapping[str, str], by: str, unit: float) -> None:
    """Draws the results on the training data, and over them those on held-out data."""
    for points, style, face in ((run.trained(name), TRAINING, "white"), (run.measured(name), HELD_OUT, look["color"])):
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        axis.plot(
            _reached(run, steps, by) / unit,
            values,
            linestyle=style,
            **look,
            linewidth=1.3,
            markersize=4.5,
            markerfacecolor=face,
            markevery=1 if len(points) <= FEW_POINTS else len(points) // MARKS,
        )


def _reached(run: LoggedRun, steps: Sequence[int], by: str) -> np.ndarray:
    """How far the run was after these steps, interpolated linearly between the rows of its log."""
    if by == "steps":
        return np.asarray(steps, np.float64)
    column = "seconds" if by == "time" else by
    logged = run.trained(column)
    if len(logged) < len(run.rows):
        raise UserError(f"`by`: {run.path / METRICS_FILE} has no {column}; choose another of {', '.join(BY)}")
    return np.interp(steps, *zip((0, 0.0), *logged, strict=True))


def _unit_of(runs: Sequence[LoggedRun]) -> tuple[float, str]:
    longest = max((run.rows[-1].get("seconds", 0.0) for run in runs), default=0.0)
    return next((unit, name) for least, unit, name in UNITS if longest >= least)


def _label_steps(axis: Any, by: str, unit: str) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis.set_xlabel({"steps": "step", "tokens": "tokens read"}.get(by, unit))
    axis.xaxis.set_major_locator(MaxNLocator(5, integer=by != "time"))
    if by != "time":
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))
    axis.set_xlim(left=0.0)


def _add_legend(figure: Figure, labels: Sequence[str], with_held_out: bool, columns: int) -> None:
    """Adds the runs by colour and mark, then the meaning of solid and dashed lines."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **_look(number), label=label) for number, label in enumerate(labels)]
    handles.append(
        Line2D([], [], color="grey", linestyle=TRAINING, markerfacecolor="white", marker="o", label="training")
    )
    if with_held_out:
        handles.append(Line2D([], [], color="grey", linestyle=HELD_OUT, marker="o", label="held out"))
    legend = figure.legend(handles=handles, loc="outside lower left", fontsize=9, ncols=min(columns, len(handles)))
    for text in legend.get_texts():
        text.set_parse_math(False)


def _title(runs: Sequence[LoggedRun]) -> str:
    examples = {entry["examples"] for run in runs for entry in run.held_out if "examples" in entry}
    rows = f", held out: {' and '.join(f'{number:,}' for number in sorted(examples))} rows" if examples else ""
    names = f"{len(runs)} runs" if len(runs) > 1 else runs[0].name
    return f"Training of {names}{rows}"
