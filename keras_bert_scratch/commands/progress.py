"""A bar for work that is measured in bytes, with the time left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_SECONDS = 30.0


@contextlib.contextmanager
def byte_progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yields what to call with the bytes done and the bytes in all; without a terminal, a line now and then."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task(title, total=None)
    started = said = time.monotonic()

    def told(done: int, of: int) -> None:
        nonlocal said
        bar.update(task, completed=done, total=of)
        now = time.monotonic()
        if not console.is_terminal and now - said >= LINE_SECONDS:
            said = now
            left = (now - started) * (of - done) / max(done, 1)
            console.print(f"{title}: {done / 1e6:.0f}/{of / 1e6:.0f} MB, ETA {left:.0f} s", highlight=False)

    if console.is_terminal:
        bar.start()
    try:
        yield told
    finally:
        if console.is_terminal:
            bar.stop()
