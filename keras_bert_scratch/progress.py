"""Progress on stderr: a bar with the time left in a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class _Stderr(Console):
    """A console on stderr, also in a notebook, where rich would display HTML among the results."""

    def __init__(self) -> None:
        super().__init__(stderr=True, force_jupyter=False)

    def on_broken_pipe(self) -> None:
        """Shows nothing more: a reader of the pipe that has ended must not end a training, too."""
        self.quiet = True


def print_progress(line: str) -> None:
    """Prints a line on stderr, above the bar if one is shown.

    Example:
        >>> print_progress("held out at step 100: accuracy 0.2500")
    """
    _Stderr().print(line, markup=False, highlight=False, soft_wrap=True)


class ProgressBar:
    """Progress on stderr, from `start` to `close` or for a `with` block.

    Args:
        title: str. Name of the activity.
        unit: str, default "bytes". What is counted, such as "steps" or "s"; bytes are shown in MB.
        line_seconds: float, default 30. Time between the lines if stderr is no terminal.
        stays: bool, default False. Whether the bar stays visible after it is closed.

    Example:
        >>> with ProgressBar("copying") as bar:
        ...     bar.update(1_000_000, 2_000_000)
    """

    def __init__(self, title: str, unit: str = "bytes", line_seconds: float = 30.0, stays: bool = False) -> None:
        self._title = title
        self._unit = unit
        self._line_seconds = line_seconds
        self._stays = stays
        self._line = ""  # the newest line that is not printed yet
        self._console = _Stderr()
        amount = [DownloadColumn()] if unit == "bytes" else [MofNCompleteColumn(), TextColumn(unit)]
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            *amount,
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            transient=not stays,
            redirect_stdout=sys.stdout.isatty(),  # else output to a pipe or a file would go to the terminal
        )
        self._task = self._bar.add_task(title, total=None, text="", start=False)
        self._started = False

    def start(self, done: float = 0, total: float | None = None, text: str = "") -> None:
        """Shows the bar; a second call does nothing.

        Args:
            done: float, default 0. Amount that was done before; the estimate of the time left ignores it.
            total: float or None. Total amount, if it is known.
            text: str. Text after the bar until the first update.
        """
        if self._started:
            return
        self._started = True
        self._first, self._start = done, time.monotonic()
        self._last_line = self._start
        self._bar.start_task(self._task)
        self._bar.update(self._task, completed=int(done), total=total and round(total), text=text)
        if self._console.is_terminal:
            self._bar.start()

    def update(self, done: float, total: float | None, text: str = "") -> None:
        """Shows the amount done, the total amount if it is known, and `text` after the bar."""
        self._bar.update(self._task, completed=int(done), total=total and round(total), text=text)
        if self._console.is_terminal:
            return
        now = time.monotonic()
        scale, unit = (1e6, "MB") if self._unit == "bytes" else (1, self._unit)
        line = f"{self._title}: {done / scale:.0f} {unit}  {text}"
        if total is not None:
            left = (now - self._start) * (total - done) / max(done - self._first, 1e-9)
            line = f"{self._title}: {done / scale:.0f}/{total / scale:.0f} {unit}, ETA {left:.0f} s  {text}"
        self._line = line.rstrip()
        if now - self._last_line >= self._line_seconds:
            self._last_line = now
            self._print_line()

    def _print_line(self) -> None:
        if self._line:
            print_progress(self._line)
        self._line = ""

    def counter(self, total: float | None) -> Callable[[float], None]:
        """A function that adds an amount to what is done of `total`, starting from 0."""
        done = 0.0

        def add(amount: float) -> None:
            nonlocal done
            done += amount
            self.update(done, total)

        return add

    def close(self) -> None:
        """Restores the terminal, also after an interruption; elsewhere prints the last line, if the bar would stay."""
        if self._console.is_terminal:
            self._bar.stop()
        elif self._stays:
            self._print_line()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
