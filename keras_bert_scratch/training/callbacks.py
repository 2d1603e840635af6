"""Callbacks of a training run: progress line, `metrics.csv`, TensorBoard, and states to resume from."""

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

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError, writing_to
from keras_bert_scratch.filesystem import AnyPath, reading
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.training.run_directory import RunDirectory
from keras_bert_scratch.training.training_state import steps_taken

METRICS_FILE = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"
LOG_EVERY = 20  # steps between rows of metrics.csv
COUNTED = ("step", "seconds", "tokens")  # columns that are finite in every row
LINE_SECONDS = 10.0  # between lines if the output is no terminal


class MetricsLog(keras.callbacks.Callback):
    """Writes the means since the last row to `metrics.csv` and TensorBoard, every `log_every` steps and at the end.

    In addition to loss and scores: `learning_rate`; `tokens`, the number of tokens read so far, without padding, and
    `tokens_per_second` during steps;
    `non_padding_fraction` of the positions; `mfu`, the fraction of the machine's measured peak that the matrix products
    of the steps reach, if their number of operations is known; `eta_seconds`; `skipped`, the number of steps so far
    that changed no weight because their gradient was not finite.

    Args:
        folder: where `metrics.csv` and `tensorboard/` are; rows after `first_step`, whose steps were lost when the run
            was interrupted, are dropped.
        log_every: steps between rows.
        first_step: the step at which this process resumes the run.
        skipped: number of steps before it that changed no weight.
        tokens: number of tokens read before it.
        peak: the machine's peak, in operations of matrix products per second.
        left: called without arguments; returns the fraction of the run that is left.
        writes: whether this process writes; of several workers only the chief does.
    """

    def __init__(
        self,
        folder: Path,
        log_every: int,
        first_step: int = 0,
        skipped: int = 0,
        tokens: float = 0.0,
        peak: float = float("inf"),
        left: Callable[[], float] = lambda: 0.0,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.step_flops = 0.0  # of the current phase
        self.latest: dict[str, float] = {}
        self._file = folder / METRICS_FILE
        self._log_every = log_every
        self._step = self._logged = first_step
        self._rows = [row for row in read_metrics(self._file) if row["step"] <= first_step]
        self._writer = tf.summary.create_file_writer(str(folder / TENSORBOARD_FOLDER)) if writes else None
        self._peak = peak
        self._left = left
        self.skipped = skipped
        self._tokens = tokens  # up to the last row
        self._started = time.monotonic()
        self._stepping = 0.0  # seconds in steps since the last row, without evaluation and saving
        self._first_left: float | None = None
        self._seconds_before = next((row["seconds"] for row in reversed(self._rows) if "seconds" in row), 0.0)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._step_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._stepping += time.monotonic() - self._step_began
        self.skipped += self.model.train_function.skipped_now
        before, self._step = self._step, steps_taken(self.model)
        if self._first_left is None:  # the first step includes compilation
            self._first_left, self._started_counting = self._left(), time.monotonic()
        if self._step // self._log_every > before // self._log_every:
            self._log(logs or {})
            self.model.reset_metrics()
        elif self._step != self._logged:
            self._unlogged = logs or {}

    def on_train_end(self, logs: Any = None) -> None:
        if self._step != self._logged:
            self._log(self._unlogged)

    @property
    def tokens(self) -> float:
        """Number of tokens read so far, without padding."""
        since = self.model.train_function.metric_sums.tokens if self._step != self._logged else 0.0
        return self._tokens + float(since)

    def close(self) -> None:
        """Closes TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()

    def _log(self, logs: dict[str, Any]) -> None:
        now = time.monotonic()
        self._tokens = self.tokens
        steps, seconds = self._step - self._logged, max(self._stepping, 1e-9)
        self._logged, self._stepping = self._step, 0.0
        function = self.model.train_function
        sums = function.metric_sums
        self.latest = {
            "tokens_per_second": round(sums.tokens / seconds, 1),
            "non_padding_fraction": round(sums.tokens / max(sums.positions, 1.0), 4),
        }
        if self.step_flops:
            self.latest["mfu"] = round(steps * self.step_flops / seconds / self._peak, 6)
        done = (self._first_left or 0.0) - self._left()
        eta = self._left() / done * (now - self._started_counting) if done > 0 else 0.0
        row = {
            "step": self._step,
            "seconds": round(self._seconds_before + now - self._started, 2),
            "learning_rate": float(function.rate),
            **{name: float(value) for name, value in logs.items()},
            "tokens": int(self._tokens),
            **self.latest,
            "eta_seconds": round(eta, 1),
            "skipped": self.skipped,
        }
        self._rows.append(row)
        if self._writer is None:
            return
        text = io.StringIO()
        names = dict.fromkeys(name for row in self._rows for name in row)  # a resumed run may log other columns
        table = csv.DictWriter(text, fieldnames=list(names), restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows)
        atomic.write_text(self._file, text.getvalue())
        with writing_to(self._file.parent), self._writer.as_default(step=self._step):
            for name, value in row.items():
                if name != "step":
                    tf.summary.scalar(name, value)


def read_metrics(file: AnyPath) -> list[dict[str, float]]:
    """The rows of a `metrics.csv`, with `step` as an int; an empty list if there is no such file.

    Raises:
        UserError: a line is damaged, or two columns have one name.
    """
    if not file.exists():
        return []
    with reading(file):
        table = csv.reader(file.read_text(encoding="utf-8", errors="replace").splitlines())
    heading: list[str] = []
    rows = []
    try:
        heading = next(table, [])
        for cells in table:
            # A missing value is an empty cell.
            row = {name: float(cell) for name, cell in zip(heading, cells, strict=True) if cell}
            rows.append({**row, "step": _whole(row["step"])})
            if not all(math.isfinite(row.get(name, 0.0)) for name in COUNTED):
                raise ValueError
    except (ValueError, KeyError, csv.Error):
        raise UserError(
            f"{file}: line {table.line_num} is damaged, it should have {len(heading)} numbers; remove it"
        ) from None
    if twice := [name for name in heading if heading.count(name) > 1]:
        raise UserError(f"{file}: has two columns {twice[0]!r}; remove one of them")
    return rows


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError
    return int(number)


class CheckpointSaver(keras.callbacks.Callback):
    """Saves a state to resume from every `seconds`.

    Args:
        run: the run that the state belongs to.
        state: called without arguments; returns what to save in addition to the model.
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
            self.save()

    def save(self) -> None:
        """Saves a state now."""
        self._run.save_state(self.model, **self._state())
        self._last = time.monotonic()


class ProgressLine(keras.callbacks.Callback):
    """A bar with progress, time left and the latest means; without a terminal, a line at intervals.

    Args:
        title: name of the activity.
        total: length of the run, in steps or seconds.
        done: called without arguments; returns how much is done.
        unit: `"steps"` or `"s"`.
        latest: called without arguments; returns what else to show, such as `tokens_per_second`.
    """

    def __init__(
        self,
        title: str,
        total: float,
        done: Callable[[], float],
        unit: str,
        latest: Callable[[], dict[str, float]] = dict,
    ) -> None:
        super().__init__()
        self._total = total
        self._done = done
        self._latest = latest
        self._bar = ProgressBar(title, unit, LINE_SECONDS, stays=True)

    def on_train_begin(self, logs: Any = None) -> None:
        self._bar.start(self._done(), self._total, "compiling")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        metrics = "  ".join(
            f"{_short(name)} {float(value):.3f}" for name, value in (logs or {}).items() if _shown(name)
        )
        if latest := self._latest():
            metrics += f"  {latest['tokens_per_second']:,.0f} tokens/s"
        if "mfu" in latest:
            metrics += f"  MFU {latest['mfu']:.0%}"
        self._bar.update(min(self._done(), self._total), self._total, metrics)

    def close(self) -> None:
        """Restores the terminal, also after an interruption."""
        self._bar.close()


def _shown(name: str) -> bool:
    return name == "loss" or name.endswith("accuracy")


def _short(name: str) -> str:
    return (
        name.replace("masked_lm", "MLM")
        .replace("next_sentence", "NSP")
        .replace("_accuracy", " acc")
        .replace("accuracy", "acc")
    )
