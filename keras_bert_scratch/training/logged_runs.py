"""Logged runs, read from their folders, finished or not: names, differing settings, and results by step."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, listed, path_of, reading
from keras_bert_scratch.training.callbacks import LOG_EVERY, METRICS_FILE, read_metrics
from keras_bert_scratch.training.run_directory import BEST_FOLDER, RUN_FILE, read_run
from keras_bert_scratch.training.training_state import STATES_FOLDER

NO_RUNS = (BEST_FOLDER, STATES_FOLDER)  # folders within a run's folder that are not runs
DEEPEST = 3  # levels below a given folder that are searched for runs, such as the seeds of a search
RANDOM = "random weights"
NO_ROW = f"has no row yet; a run writes one every {LOG_EVERY} steps and at its end"
VOCABULARY_LOSS_TASKS = ("pretraining", "translation")  # tasks whose loss is over the vocabulary
OBJECTIVE_SETTINGS = ("rules.objective", "rules.pairs", "rules.masking")
LOWER_IS_BETTER = ("loss", "perplexity", "rmse", "distance")
# Columns of metrics.csv that are neither loss nor score.
BOOKKEEPING = (
    *("step", "seconds", "learning_rate", "tokens", "tokens_per_second", "non_padding_fraction", "mfu"),
    *("eta_seconds", "skipped"),
)

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LoggedRun:
    """One run, up to its current step.

    Args:
        path: path. Its folder.
        name: str. Distinguishes it from the runs next to it.
        task: str. Such as `"pretraining"`.
        status: str. `"finished"` or `"unfinished"`.
        settings: mapping. The requested settings, flattened to names such as `"training.steps"`.
        rows: list of dict. The rows of `metrics.csv`; each has means over the steps up to its `step`.
        held_out: list of dict. Results on held-out data, each with its `step`.
        best_by: str. The metric that selected the best model; empty if there are no results on held-out data.
        wanted: str. Whether the `"max"` or the `"min"` of `best_by` is the best.
    """

    path: AnyPath
    name: str
    task: str
    status: str
    settings: Mapping[str, Any]
    rows: list[dict[str, float]]
    held_out: list[dict[str, Any]]
    best_by: str
    wanted: str

    @property
    def scores(self) -> list[str]:
        """The metrics of its training: `loss` first, without the single losses that it is the sum of."""
        names = dict.fromkeys(name for row in self.rows for name in row if name not in BOOKKEEPING)
        return sorted((name for name in names if not name.endswith("_loss")), key=lambda name: name != "loss")

    def trained(self, name: str) -> list[tuple[int, float]]:
        """Step and value of a metric on the training data."""
        return [(row["step"], row[name]) for row in self.rows if name in row]

    def measured(self, name: str) -> list[tuple[int, float]]:
        """Step and value of a metric on the held-out data."""
        return [(entry["step"], entry[name]) for entry in self.held_out if _is_number(entry.get(name))]

    def best(self, name: str) -> tuple[int, float] | None:
        """Step and value of the best result on the held-out data; of equal ones, the first."""
        found = [(step, value) for step, value in self.measured(name) if value == value]
        low = self.wanted == "min" if name == self.best_by else name.endswith(LOWER_IS_BETTER)
        return min(found, key=lambda point: point[1] if low else -point[1], default=None)


def read_logged_runs(runs: Any) -> list[LoggedRun]:
    """Reads the runs in the given folders.

    Args:
        runs: path, list of paths, or mapping of name to path. Each is a run's folder, or a folder that contains the
            runs of several seeds, of a search or of GLUE. Runs there without any log yet are skipped with a warning. A
            run that is given twice in a list is read once.

    Raises:
        UserError: a folder holds no run, a run has no row in `metrics.csv` yet, or a file is damaged.
    """
    if isinstance(runs, Mapping):
        return [_read(path_of(path), name) for name, path in runs.items()]
    folders: dict[AnyPath, AnyPath] = {}
    for path in listed(runs):
        for folder in _folders_of_runs(path_of(path)):
            folders.setdefault(folder if isinstance(folder, Address) else folder.resolve(), folder)
    found = list(folders.values())
    names = short_names([str(folder if isinstance(folder, Address) else folder.absolute()) for folder in found])
    return [_read(folder, name) for folder, name in zip(found, names, strict=True)]


def short_names(paths: Sequence[str]) -> list[str]:
    """The paths without the leading and trailing folders that all of them share.

    Example:
        >>> short_names(["/runs/a/seed-0", "/runs/b/seed-0"]), short_names(["/runs/a"])
        (['a', 'b'], ['a'])
    """
    parts = [path.rstrip("/").split("/") for path in paths]
    for end in (0, -1):
        while all(len(some) > 1 for some in parts) and len({some[end] for some in parts}) == 1:
            if end == -1 and len(parts) == 1:
                break
            for some in parts:
                del some[end]
    return ["/".join(some) for some in parts]


def by_task(runs: Iterable[LoggedRun]) -> dict[str, list[LoggedRun]]:
    """Groups the runs by task: only runs of one task can be compared."""
    tasks: dict[str, list[LoggedRun]] = {}
    for run in runs:
        tasks.setdefault(run.task, []).append(run)
    return tasks


def differing_settings(runs: Sequence[LoggedRun]) -> dict[str, list[str]]:
    """The settings in which runs of one task differ, each with the value of every run.

    Data and vocabularies are shown by the first characters of their hash.
    """
    names = dict.fromkeys(name for run in runs for name in run.settings)
    shown = {name: [_shown(run.settings.get(name)) for run in runs] for name in names}
    # The sizes of randomly initialized models are omitted if other runs start from pretrained weights.
    some_pretrained = any(run.settings.get("start", RANDOM) != RANDOM for run in runs)
    left_out = [name for name in names if some_pretrained and name.startswith("start.")]
    return {name: values for name, values in shown.items() if len(set(values)) > 1 and name not in left_out}


def comparison_warnings(runs: Sequence[LoggedRun]) -> list[str]:
    """Why some results of runs of one task cannot be compared or have no line, one line per reason."""
    task, found = runs[0].task, []
    if task in VOCABULARY_LOSS_TASKS and _num_values(runs, "vocabulary") > 1:
        found.append(f"{task}: the vocabularies differ, so losses and accuracies cannot be compared")
    if any(_num_values(runs, name) > 1 for name in ("held_out", "dev")):
        found.append(f"{task}: the held-out data differ, so results on them cannot be compared")
    if asked := [name for name in differing_settings(runs) if name.startswith(OBJECTIVE_SETTINGS)]:
        found.append(f"{task}: the objectives differ ({', '.join(asked)}), so losses and accuracies cannot be compared")
    for name in dict.fromkeys(name for run in runs for name in (*run.scores, run.best_by)):
        values = {run.name: [value for _, value in (*run.trained(name), *run.measured(name))] for run in runs}
        if without := [run for run, some in values.items() if some and not any(map(math.isfinite, some))]:
            found.append(f"{task}: {name} is never a finite number in {', '.join(without)}, so it has no line")
    return found


def _num_values(runs: Iterable[LoggedRun], setting: str) -> int:
    values = (run.settings.get(setting) for run in runs)
    return len({_shown(value) for value in values if value is not None})


def _folders_of_runs(path: AnyPath) -> list[AnyPath]:
    """The folder itself, or the folders of runs below it; runs that have no row in `metrics.csv` yet are skipped."""
    with reading(path):
        if not path.exists():
            raise UserError(f"{path}: no such folder; check the path")
        if not path.is_dir():
            raise UserError(f"{path}: is not a folder; give the folder of a run")
        if (path / RUN_FILE).exists() and (path / METRICS_FILE).exists():
            return [path]
        found = list(_below(path, DEEPEST))
        logged = [folder for folder in found if (folder / METRICS_FILE).exists()]
    for folder in found:
        if folder not in logged:
            log.warning("%s: skipped, it has no row in metrics.csv yet", folder)
    if not logged:
        if (path / RUN_FILE).exists():
            raise UserError(f"{path / METRICS_FILE}: {NO_ROW}")
        raise UserError(f"{path}: is neither a run nor a folder of runs; give the `out` of a training")
    return logged


def _below(folder: AnyPath, depth: int) -> Iterable[AnyPath]:
    """The runs in a folder that contain no other runs, sorted by name, numbers by value: seed-2 before seed-10."""
    inner = [path for path in folder.iterdir() if path.name not in NO_RUNS and path.is_dir()]
    for path in sorted(
        inner, key=lambda path: [(int(n or 0), text) for n, text in re.findall(r"(\d*)(\D*)", path.name)]
    ):
        runs = list(_below(path, depth - 1)) if depth > 1 else []
        if runs or not (path / RUN_FILE).exists():
            yield from runs
        else:
            yield path


def _read(path: AnyPath, name: str) -> LoggedRun:
    content = read_run(path)
    if content is None:
        raise UserError(f"{path}: is not a run; give the `out` of a training")
    rows = read_metrics(path / METRICS_FILE)
    if not rows:
        raise UserError(f"{path / METRICS_FILE}: {NO_ROW}")
    results, settings = content.get("results", {}), content["settings"]
    last = rows[-1]["step"] if content["status"] != "finished" else results.get("steps", rows[-1]["step"])
    try:
        held_out = [
            *[{"step": 0, **results[when]} for when in ("held_out_before",) if when in results],
            *({**entry, "step": int(entry["step"])} for entry in results.get("evaluations", [])),
            *[{"step": last, **results[when]} for when in ("held_out_after",) if when in results],
        ]
        best_by, wanted = results.get("best_by", ("loss" if held_out else "", "min"))
    except (TypeError, KeyError, ValueError, OverflowError):
        raise UserError(
            f"{path / RUN_FILE}: its `evaluations` or `best_by` are damaged; restore it or delete the run"
        ) from None
    task = settings.get("task", "training")
    status = "finished" if content["status"] == "finished" else "unfinished"
    return LoggedRun(path, name, task, status, dict(_flat(settings)), rows, held_out, best_by, wanted)


def _flat(settings: Mapping[str, Any], outer: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in settings.items():
        if outer + name == "start" and isinstance(value, Mapping):
            yield "start", RANDOM
        if isinstance(value, Mapping):
            yield from _flat(value, f"{outer}{name}.")
        else:
            yield outer + name, value


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list) and value and all(map(_is_hash, value)):
        value = hashlib.sha256(json.dumps(value).encode()).hexdigest()
    if _is_hash(value):
        return value[:6]
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "-" if value in (None, "") else str(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
