"""`curves.png`: what `metrics.csv` tells, as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_bert_scratch import atomic
from keras_bert_scratch.training.callbacks import read_metrics

LABELS = {
    "loss": "loss",
    "masked_lm_accuracy": "masked words right",
    "next_sentence_accuracy": "next sentences right",
    "accuracy": "labels right",
}


def plot_curves(runs: Mapping[str, Path], picture: Path) -> None:
    """Draws the metrics of each run's `metrics.csv`, a row of panels per run, to `picture`.

    Args:
        runs: title to `metrics.csv`.
        picture: the PNG to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tables = {title: rows for title, file in runs.items() if (rows := read_metrics(file))}
    panels = [[name for name in LABELS if name in rows[0]] for rows in tables.values()]
    if not tables:
        return
    columns = max(map(len, panels))
    figure = Figure(figsize=(4.2 * columns, 3.0 * len(tables)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(tables), columns, squeeze=False)
    for axes, names, (title, rows) in zip(grid, panels, tables.items(), strict=True):
        for axis in axes[len(names) :]:
            axis.set_visible(False)
        for axis, name in zip(axes, names, strict=False):
            axis.plot(
                [row["step"] for row in rows],
                [row[name] for row in rows],
                linewidth=1.4,
                marker="." if len(rows) < 20 else "",
            )
            axis.set_title(f"{title}: {LABELS[name]}", fontsize=10)
            axis.set_xlabel("step")
            axis.grid(alpha=0.3)
    with atomic.write(picture) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
