"""What a run shows and keeps while it trains: progress line, `metrics.csv`, TensorBoard, states to resume from."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError, writing_to
from keras_bert_scratch.training.run_directory import RunDirectory

METRICS_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"
LINE_SECONDS = 10.0  # between lines where the output is no terminal


class MetricsLog(keras.callbacks.Callback):
    """Every `log_every` steps and at the end, the means since the last time go to `metrics.csv` and to TensorBoard.

    Args:
        folder: where `metrics.csv` and `tensorboard/` are; rows of steps after `first_step`, lost when the run was
            interrupted, are dropped.
        log_every: steps between rows.
        first_step: where this process takes the run up.
    """

    def __init__(self, folder: Path, log_every: int, first_step: int = 0) -> None:
        super().__init__()
        self._file = folder / METRICS_FILE
        self._log_every = log_every
        self._rows = [row for row in read_metrics(self._file) if row["step"] <= first_step]
        self._writer = tf.summary.create_file_writer(str(folder / TENSORBOARD_FOLDER))
        self._unlogged: dict[int, dict[str, Any]] = {}  # the last step, while the log has not come round to it
        self._started = time.monotonic()
        self._seconds_before = self._rows[-1]["seconds"] if self._rows else 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        step = int(self.model.optimizer.iterations)
        self._unlogged = {} if step % self._log_every == 0 else {step: logs or {}}
        if not self._unlogged:
            self._log(step, logs or {})
            self.model.reset_metrics()

    def on_train_end(self, logs: Any = None) -> None:
        for step, means in self._unlogged.items():
            self._log(step, means)
        self._writer.close()

    def _log(self, step: int, logs: dict[str, Any]) -> None:
        seconds = self._seconds_before + time.monotonic() - self._started
        means = {name: float(value) for name, value in logs.items()}
        if not math.isfinite(means["loss"]):
            raise UserError(f"{self._file.parent}: the loss is {means['loss']} at step {step}; lower --learning-rate")
        row = {
            "step": step,
            "seconds": round(seconds, 2),
            "learning_rate": float(self.model.optimizer.learning_rate),
            **means,
        }
        self._rows.append(row)
        text = io.StringIO()
        table = csv.DictWriter(text, fieldnames=list(row), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows)
        atomic.write_text(self._file, text.getvalue())
        with writing_to(self._file.parent), self._writer.as_default(step=step):
            for name, value in row.items():
                if name != "step":
                    tf.summary.scalar(name, value)


def read_metrics(file: Path) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, `step` an int; none where there is no such file."""
    if not file.exists():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
    return [{**row, "step": int(row["step"])} for row in rows]


class StateKeeper(keras.callbacks.Callback):
    """Keeps a state to resume from every `seconds`.

    Args:
        run: whose state it is.
        state: called for what to keep beside the model.
        seconds: between states.
    """

    def __init__(self, run: RunDirectory, state: Callable[[], dict[str, Any]], seconds: float = 60.0) -> None:
        super().__init__()
        self._run = run
        self._state = state
        self._seconds = seconds
        self._last = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if time.monotonic() - self._last >= self._seconds:
            self.keep()

    def keep(self) -> None:
        """Keeps a state now."""
        self._run.save_state(self.model, **self._state())
        self._last = time.monotonic()


class ProgressLine(keras.callbacks.Callback):
    """A bar with what is done, the time left and the latest means; without a terminal, a line now and then.

    Args:
        title: what is going on.
        total: how much there is to do, in steps or seconds.
        done: called for how much is done.
        unit: `"steps"` or `"s"`.
    """

    def __init__(self, title: str, total: float, done: Callable[[], float], unit: str) -> None:
        super().__init__()
        self._title = title
        self._total = total
        self._done = done
        self._unit = unit
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
            console=self._console,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        self._start = self._last_line = time.monotonic()
        self._first = self._done()
        self._task = self._progress.add_task(
            self._title, total=round(self._total), completed=self._first, metrics="compiling"
        )
        if self._console.is_terminal:
            self._progress.start()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = "  ".join(
            f"{_short(name)} {float(value):.3f}" for name, value in (logs or {}).items() if _shown(name)
        )
        done = min(self._done(), self._total)
        self._progress.update(self._task, completed=int(done), metrics=metrics)
        if not self._console.is_terminal and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            left = (self._last_line - self._start) * (self._total - done) / max(done - self._first, 1e-9)
            line = f"{self._title}: {done:.0f}/{self._total:.0f} {self._unit}, ETA {left:.0f} s  {metrics}"
            self._console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, logs: Any = None) -> None:
        self.close()

    def close(self) -> None:
        """Leaves the terminal as it was, also after an interruption."""
        if self._console.is_terminal:
            self._progress.stop()


def _shown(name: str) -> bool:
    return name == "loss" or name.endswith("accuracy")


def _short(name: str) -> str:
    return (
        name.replace("masked_lm", "MLM")
        .replace("next_sentence", "NSP")
        .replace("_accuracy", " acc")
        .replace("accuracy", "acc")
    )
