"""A run's folder: what was asked for, how far it is, what came out; the same command continues it."""

from __future__ import annotations

import datetime
import json
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import keras

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.version import VERSION

RUN_FILE = "run.json"
STATES_FOLDER = "training_state"
STATE_VARIABLES = "variables.h5"
STATE_FILE = "state.json"
KEPT_STATES = 2


class RunDirectory:
    """A folder that one training run fills.

    `run.json` says what was asked for and what came out; `training_state/step-N/` holds what a resume needs; the
    finished model lies beside them.

    Args:
        path: the folder; a new one, an empty one, or one that holds this very run.
        settings: what was asked for; continuing needs the same.

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

    def __init__(self, path: Path | str, settings: dict[str, Any]) -> None:
        self.path = Path(path)
        settings = json.loads(json.dumps(settings))  # as it will be read back: tuples become lists
        stored = read_run(self.path)
        if stored is None:
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise UserError(f"{path}: exists already and holds no run; delete it or choose another --out")
            self._story = {
                "status": "running",
                "settings": settings,
                "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "versions": {
                    "keras_bert_scratch": VERSION,
                    "keras": keras.__version__,
                    "python": platform.python_version(),
                },
                "machine": platform.platform(),
            }
            self._write()
        else:
            self._story = stored
            for name in sorted(set(settings) | set(stored["settings"])):
                asked, held = settings.get(name), stored["settings"].get(name)
                if asked != held:
                    raise UserError(
                        f"{path}: already holds a run with {name} {held}, not {asked}; "
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

    def finish(self, results: dict[str, Any]) -> None:
        """Marks the run as finished and removes what only a resume would need."""
        self._story["status"] = "finished"
        self._story["ended"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.note(**results)
        shutil.rmtree(self.path / STATES_FOLDER, ignore_errors=True)

    def save_state(self, model: keras.Model, **state: Any) -> None:
        """Keeps weights, optimizer, dropout's seeds, the step and `state`; drops all but the newest two such states."""
        step = int(model.optimizer.iterations)
        folder = self.path / STATES_FOLDER / f"step-{step:08d}"
        if folder.exists():
            return
        with atomic.written_folder(folder) as place:
            variables = enumerate(_state_variables(model))
            write_tensors(
                place / STATE_VARIABLES,
                {str(number): keras.ops.convert_to_numpy(variable) for number, variable in variables},
            )
            atomic.write_json(place / STATE_FILE, {"step": step, **state})
        for old in self._states()[:-KEPT_STATES]:
            shutil.rmtree(old)

    def restore_state(self, model: keras.Model) -> dict[str, Any]:
        """Puts the newest kept state into the compiled `model`; returns what was kept with it, or `step` 0."""
        states = self._states()
        if not states:
            return {"step": 0}
        model.optimizer.build(model.trainable_variables)
        values = read_tensors(states[-1] / STATE_VARIABLES)
        for number, variable in enumerate(_state_variables(model)):
            variable.assign(values[str(number)])
        return json.loads((states[-1] / STATE_FILE).read_text(encoding="utf-8"))

    def _states(self) -> list[Path]:
        return kept_states(self.path)

    def _write(self) -> None:
        atomic.write_json(self.path / RUN_FILE, self._story)


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
