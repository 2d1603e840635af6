"""A run's folder: what was asked for, how far it is, what came out; the same command continues it."""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.version import VERSION

RUN_FILE = "run.json"
STATES_FOLDER = "training_state"
STATE_VARIABLES = "variables.h5"
STATE_FILE = "state.json"
KEPT_STATES = 2

log = logging.getLogger(__name__)


class RunDirectory:
    """A folder that one training run fills.

    `run.json` says what was asked for and what came out; `training_state/step-N/` holds what a resume needs; the
    finished model lies beside them.

    Args:
        path: the folder; a new one, an empty one, or one that holds this very run.
        settings: what was asked for; continuing needs the same.
        writes: whether this process writes the folder; of several workers only the chief does.

    Raises:
        UserError: the folder holds something else; the message names the difference.

    Example:
        >>> run = RunDirectory("my-run", {"steps": 10})
        >>> run.finished
        False
        >>> run.finish({"accuracy": 0.9})
        >>> RunDirectory("my-run", {"steps": 10}).results
        {'accuracy': 0.9}
    """

    def __init__(self, path: Path | str, settings: dict[str, Any], writes: bool = True) -> None:
        self.path = Path(path)
        self._writes = writes
        settings = json.loads(json.dumps(settings))  # as it will be read back: tuples become lists
        stored = read_run(self.path)
        if stored is None:
            if writes and self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UserError(f"{path}: exists already and holds no run; delete it or choose another --out")
            self._story = {
                "status": "running",
                "settings": settings,
                "started": _now(),
                "starts": [],
            }
            self._write()
        else:
            self._story = stored
            differences = _differences(stored["settings"], settings)
            if differences:
                raise UserError(
                    f"{path}: already holds a run with {'; '.join(differences)}; "
                    f"ask for the same to continue it, delete it, or choose another --out"
                )

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self._story["status"] == "finished"

    @property
    def results(self) -> dict[str, Any]:
        """What was noted so far, by name."""
        return dict(self._story.get("results", {}))

    def note(self, **results: Any) -> None:
        """Adds to the results, at once and for good."""
        self._story["results"] = {**self.results, **results}
        self._write()

    def tell_start(self, **facts: Any) -> None:
        """Adds a start of this run to its story: when, by which command, on what machine, and `facts`."""
        start = {
            "time": _now(),
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "versions": {
                "keras_bert_scratch": VERSION,
                "keras": keras.__version__,
                "tensorflow": tf.__version__,
                "python": platform.python_version(),
            },
            "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        }
        self._story.setdefault("starts", []).append({**start, **facts})
        self._write()

    def finish(self, results: dict[str, Any]) -> None:
        """Marks the run as finished and removes what only a resume would need."""
        self._story["status"] = "finished"
        self._story["ended"] = _now()
        self.note(**results)
        if self._writes:
            shutil.rmtree(self.path / STATES_FOLDER, ignore_errors=True)

    def save_state(self, model: keras.Model, **state: Any) -> None:
        """Keeps weights, optimizer, dropout's seeds, the step and `state`; drops all but the newest two such states."""
        step = steps_taken(model)
        folder = self._state_folder(step)
        if folder.exists() or not self._writes:
            return
        with atomic.written_folder(folder) as place:
            variables = enumerate(_state_variables(model))
            write_tensors(
                place / STATE_VARIABLES,
                {str(number): keras.ops.convert_to_numpy(variable) for number, variable in variables},
            )
            digest = _digest(place / STATE_VARIABLES)
            atomic.write_json(place / STATE_FILE, {"step": step, "sha256": digest, **state})
        for old in kept_states(self.path)[:-KEPT_STATES]:
            shutil.rmtree(old)

    def newest_state(self) -> int:
        """The step of the newest kept state that is whole, or 0; a damaged one is removed, and the log says so."""
        for folder in reversed(kept_states(self.path)):
            damage = _damage(folder)
            if not damage:
                return int(folder.name.removeprefix("step-"))
            log.warning("%s: is damaged (%s); going back to the state before", folder, damage)
            if self._writes:
                shutil.rmtree(folder)
        return 0

    def restore_state(self, model: keras.Model, step: int) -> dict[str, Any]:
        """Puts the state kept at `step` into the compiled `model`; returns what was kept with it. Step 0 is none."""
        if step == 0:
            return {}
        folder = self._state_folder(step)
        values = read_tensors(folder / STATE_VARIABLES)
        for number, variable in enumerate(_state_variables(model)):
            variable.assign(values[str(number)])
        return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))

    def _state_folder(self, step: int) -> Path:
        return self.path / STATES_FOLDER / f"step-{step:08d}"

    def _write(self) -> None:
        if self._writes:
            atomic.write_json(self.path / RUN_FILE, self._story)


def steps_taken(model: keras.Model) -> int:
    """How many steps the optimizer of `model` has made."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def kept_states(path: Path | str) -> list[Path]:
    """The folders of the states that an unfinished run in `path` can be continued from, the newest last."""
    folder = Path(path) / STATES_FOLDER
    return sorted(entry for entry in folder.glob("step-*") if re.fullmatch(r"step-\d+", entry.name))


def _state_variables(model: keras.Model) -> list[Any]:
    """All that a step reads and changes, in a fixed order: weights, dropout's seeds, the optimizer's moments and step.

    Keras's own `save_weights` leaves out the seeds, so that a resumed run would drop other activations.
    """
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    return [*(v for v in model.variables if id(v) not in metrics), *model.optimizer.variables]


def read_run(path: Path | str) -> dict[str, Any] | None:
    """What `run.json` in the folder `path` says, or `None` where there is none."""
    file = Path(path) / RUN_FILE
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UserError(f"{file}: is not JSON ({error}); restore it or delete the run") from None


def _differences(held: Any, asked: Any, name: str = "") -> list[str]:
    """Where two settings differ, down to the single field."""
    if isinstance(held, dict) and isinstance(asked, dict):
        names = sorted(set(held) | set(asked))
        return [
            text for key in names for text in _differences(held.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if held == asked else [f"{name} {_short(held)}, not {_short(asked)}"]


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _damage(folder: Path) -> str:
    """What is wrong with a kept state; empty if nothing."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return "" if _digest(folder / STATE_VARIABLES) == state["sha256"] else f"{STATE_VARIABLES} has another checksum"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
