"""Study: the rows of a table, each measured with several seeds; measurements are stored, so that a study can resume.

A study's folder holds `measured.json`: the settings, the metrics of every row and seed, and the claims of the paper
that the rows test. `report.py` makes the tables of RESULTS.md from it. Several processes may measure one study, each
with another seed.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from scipy import stats

import keras_bert_scratch as kbs
from keras_bert_scratch import atomic

CONFIDENCE = 0.95
FILE = "measured.json"


@dataclasses.dataclass(frozen=True)
class Column:
    """A metric as the table shows it.

    Args:
        heading: str. Its title.
        form: str, default ".1%". Format of one value, as `format` takes it.
        wanted: str, default "high". Whether `"high"` or `"low"` values are better.
    """

    heading: str
    form: str = ".1%"
    wanted: str = "high"


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a study tests: whether `better` has a better `metric` than `worse`, both names of rows.

    Args:
        text: str. The claim in words, and who makes it.
    """

    better: str
    worse: str
    metric: str
    text: str


class Study:
    """A table that is measured row by row and seed by seed.

    Args:
        out: path. The study's folder, which may also hold the runs that the rows train.
        title: str. Title of the table.
        settings: mapping. The settings of the study; it resumes only with the same ones.
        columns: mapping of `Column` by metric.
        claims: list of `Claim`.

    Raises:
        UserError: the folder holds a study with other settings.
    """

    def __init__(
        self,
        out: Path,
        title: str,
        settings: Mapping[str, Any],
        columns: Mapping[str, Column],
        claims: list[Claim],
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._file, self._here = out / FILE, machine()
        self.content: dict[str, Any] = {
            "title": title,
            "machine": self._here,
            "settings": dict(settings),
            "columns": {name: dataclasses.asdict(column) for name, column in columns.items()},
            "claims": [dataclasses.asdict(claim) for claim in claims],
            "rows": {},
        }
        with self._lock("writing"):
            self._read()
            if self.content["rows"]:  # with the current title, headings and claims
                atomic.write_json(self._file, self.content)

    def _read(self) -> None:
        """Reads what is measured so far, by other processes too."""
        if self._file.exists():
            stored = atomic.read_json(self._file, "delete the folder to start over")
            if stored["settings"] != self.content["settings"]:
                raise kbs.UserError(
                    f"{self._file.parent}: contains a study with {stored['settings']}; give the same settings to "
                    "resume it, or choose another folder"
                )
            self.content |= {"rows": stored["rows"], "machine": stored["machine"]}

    def _lock(self, name: str) -> filelock.FileLock:
        """Returns a lock that is released when this process ends, however it ends."""
        return filelock.FileLock(self._file.with_name(f".{name}.lock"))

    def shared_work(self) -> filelock.FileLock:
        """Returns a context for work that all seeds share: a second process waits, and then finds it done."""
        return self._lock("shared")

    def seeds(self, number: int, first: int = 0) -> Iterator[int]:
        """Yields those of `number` seeds that no other process is measuring.

        Args:
            number: int.
            first: int, default 0. Higher if the results of lower seeds chose a setting: they must not judge it, too.
        """
        for seed in range(first, first + number):
            lock = self._lock(f"seed-{seed}")
            try:
                lock.acquire(blocking=False)
            except filelock.Timeout:
                print(f"seed {seed}: is being measured by another process", flush=True)
                continue
            try:
                yield seed
            finally:
                lock.release()

    def measure(self, row: str, seed: int, run: Callable[[], Mapping[str, float | None]]) -> None:
        """Calls `run` for the metrics of a row with a seed, unless they are stored, and stores them at once.

        A metric that does not apply to the row is `None`.
        """
        self._read()
        if str(seed) in self.content["rows"].get(row, {}):
            return
        print(f"\n== {row}, seed {seed}", flush=True)
        began = time.perf_counter()
        metrics = {name: value if value is None else round(float(value), 5) for name, value in run().items()}
        with self._lock("writing"):
            self._read()
            if self._here not in self.content["machine"].split("; "):
                self.content["machine"] += f"; {self._here}"
            self.content["rows"].setdefault(row, {})[str(seed)] = metrics
            atomic.write_json(self._file, self.content)
        shown = ", ".join(f"{name} {value}" for name, value in metrics.items())
        print(f"== {row}, seed {seed}: {shown}; {(time.perf_counter() - began) / 60:.1f} minutes", flush=True)

    def report(self) -> str:
        """Returns the table and the outcomes of the claims, as Markdown."""
        return report(self.content)


def report(content: Mapping[str, Any]) -> str:
    """Returns the table of a study and the outcomes of its claims, as Markdown.

    Args:
        content: the content of `measured.json`.
    """
    columns, rows = content["columns"], content["rows"]
    seeds = max(map(len, rows.values()), default=0)
    lines = [
        f"| {_number_of_seeds(seeds)} | " + " | ".join(one["heading"] for one in columns.values()) + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for name, measured in rows.items():
        fewer = f" ({_number_of_seeds(len(measured))})" if len(measured) < seeds else ""
        cells = (
            _cell(_values(measured, metric).values(), column["form"], len(measured))
            for metric, column in columns.items()
        )
        lines.append(f"| {name}{fewer} | " + " | ".join(cells) + " |")
    if claims := [_outcome(claim, content) for claim in content["claims"]]:
        lines += ["", "| claim | difference | |", "|---|---:|---|", *claims]
    return "\n".join(lines)


def _number_of_seeds(number: int) -> str:
    return f"{number} seed{'s' * (number != 1)}"


def _values(measured: Mapping[str, Mapping[str, float | None]], metric: str) -> dict[str, float]:
    """Returns a metric of a row by seed, without the seeds that lack it."""
    found = {seed: values.get(metric) for seed, values in measured.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _cell(values: Iterable[float], form: str, seeds: int) -> str:
    """Formats mean and standard deviation, and says if some of the seeds have no value."""
    values = list(values)
    if not values:
        return ""
    text = format(statistics.fmean(values), form)
    if len(values) > 1:
        text += f" ± {format(_deviation(values), form).removesuffix('%')}"
    return text if len(values) == seeds else f"{text} ({len(values)} of {seeds})"


def _deviation(values: list[float]) -> float:
    """Returns the standard deviation of a sample; NaN if it holds NaN, where `statistics.stdev` fails."""
    if len(set(values)) == 1:
        return 0.0  # np.std's mean of equal numbers may be rounded
    return float(np.std(values, ddof=1))


def _outcome(claim: Mapping[str, str], content: Mapping[str, Any]) -> str:
    """Returns the table row of a claim: the mean difference over the seeds that both rows have, and the outcome.

    Seeds are paired: rows with the same seed share its random draws. The interval is Student's t for paired
    differences; the claim is shown, or contradicted, if the interval does not contain 0. Equal differences, as counts
    of a few right answers may be, have no interval and show nothing.
    """
    column, rows = content["columns"][claim["metric"]], content["rows"]
    better, worse = (_values(rows.get(claim[side], {}), claim["metric"]) for side in ("better", "worse"))
    differences = [better[seed] - worse[seed] for seed in better if seed in worse]
    if len(differences) < 2:
        return f"| {claim['text']} | | not measured with two seeds |"
    mean = statistics.fmean(differences)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(differences) - 1))
    half *= _deviation(differences) / math.sqrt(len(differences))
    gain = mean if column["wanted"] == "high" else -mean
    outcome = "shown" if gain > half > 0 else "**contradicted**" if -gain > half > 0 else "not shown"
    form = column["form"]
    percent = form.endswith("%")
    texts = [
        format(100 * one if percent else one, sign + form.replace("%", "f")) for sign, one in (("+", mean), ("", half))
    ]
    return f"| {claim['text']} | {texts[0]} ± {texts[1]}{' points' * percent} | {outcome} |"


def machine() -> str:
    """Describes the processor, how many cores this process may use, and the versions that matter."""
    information = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", information.read_text()) if information.exists() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    versions = ", ".join(f"{name} {_version(name)}" for name in ("tensorflow", "keras"))
    return f"{named[1] if named else platform.processor()}, {cores} core{'s' * (cores != 1)}, {versions}"


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
