"""RunDirectory: a run's folder, with its settings, progress and results; the same command resumes it."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import platform
import re
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import keras
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.checkpoint import RUN_FILE
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError, writing_to
from keras_bert_scratch.filesystem import AnyPath, cache_folder, path_of, path_to_write
from keras_bert_scratch.hub.address import HubAddress
from keras_bert_scratch.lock import Lock
from keras_bert_scratch.training import training_state
from keras_bert_scratch.training.mirror import Mirror
from keras_bert_scratch.version import VERSION

CHECKSUM = re.compile("[0-9a-f]{64}")
LOCK_FILE = ".lock"
BEST_FOLDER = "best"
ADDED_LATER = ("tokenizer",)  # settings that runs of older versions lack; these runs can be resumed all the same


class RunDirectory:
    """The folder of one training run, which one process at a time writes.

    For an address such as `gs://bucket/run`, the process works in a folder of the user's cache, which is uploaded with
    each state and each result; `path` is where the run is, `folder` is where this process writes it. If uploads fail,
    the folder stays, and the next start on this machine continues from it.

    `run.json` holds settings and results; `training_state/step-N/` holds what a resume needs; the finished model is
    saved next to them. From construction to `finish`, `close` or the end of a `with` block, the process that writes the
    folder holds its lock; see `Lock` for what that means on NFS and after a kill.

    Args:
        path: str, Path or Address. The folder; a new one, an empty one, or one that holds this same run.
        settings: dict. The requested settings; resuming needs the same ones.
        writes: bool, default True. Whether this process writes the folder; of several workers only the chief does.

    Raises:
        UserError: the folder holds something else, and the message names the difference; another process is writing it;
            or it cannot be written.

    Example:
        >>> with RunDirectory("my-run", {"steps": 10}) as run:
        ...     run.finished
        ...     run.finish({"accuracy": 0.9})
        False
        >>> RunDirectory("my-run", {"steps": 10}).results
        {'accuracy': 0.9}
    """

    def __init__(self, path: AnyPath | str, settings: dict[str, Any], writes: bool = True) -> None:
        self.path = path_to_write(path)
        self.folder, self._mirror = _local_folder(self.path, writes)
        self._writes = writes
        self._lock: Lock | None = None
        self._settings = json.loads(json.dumps(settings))  # as it will be read back: tuples become lists
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._content = self._stored()
        if self._writes and not (self._content and self.finished):
            if self._content is None:
                self._check_is_free()
            with writing_to(self.folder, self.folder / LOCK_FILE):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._lock = Lock(self.folder / LOCK_FILE, self.path)
            self._content = self._stored()  # as the previous holder of the lock left it
            if self._content and self.finished:
                self.close()
        if self._mirror and not (self._content and self.finished):
            self.folder.mkdir(parents=True, exist_ok=True)
            subfolders = (training_state.STATES_FOLDER, BEST_FOLDER)
            if unsent := self._unsent():
                self._content = unsent
                self._mirror.resume_upload(subfolders)
                if self.finished:
                    self._tidy_up()
                    self.close()
            else:
                self._mirror.download(subfolders)
        if self._content is None:
            if self._writes:
                self._check_is_free()
            self._content = {
                "status": "running",
                "settings": self._settings,
                "started": _now(),
                "starts": [],
            }
            self._write()

    def _stored(self) -> dict[str, Any] | None:
        """The content of `run.json`, or `None`; raises `UserError` if it is another run's."""
        content = read_run(self.path)
        held = content["settings"] if content else self._settings
        asked = {name: value for name, value in self._settings.items() if name in held or name not in ADDED_LATER}
        if differences := differences_of(held, asked):
            raise UserError(
                f"{self.path}: already holds a run with {'; '.join(differences)}; use the same settings to "
                f"continue it, delete it, or choose another `out`"
            )
        return content

    def _unsent(self) -> dict[str, Any] | None:
        """The local `run.json`, if a process could not upload it and no process has continued the run elsewhere."""
        if not (self._writes and self._content and self._mirror.has_unsent):
            return None
        there, here = self._content, read_run(self.folder) or {}
        starts = there.get("starts", [])
        continues = here.get("started") == there.get("started") and here.get("starts", [])[: len(starts)] == starts
        return here if continues else None

    def _check_is_free(self) -> None:
        """Raises `UserError` unless the folder is free; ignores the files of a process killed before its `run.json`."""
        atomic.check_is_free(self.path, besides=(LOCK_FILE, atomic.temporary_path(Path(RUN_FILE)).name))

    def close(self) -> None:
        """Releases the lock, so that other processes can write the folder."""
        if self._mirror and (self._lock or not self._writes) and not self._mirror.has_unsent:
            shutil.rmtree(self.folder, ignore_errors=True)  # everything is at the address
        if self._lock:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def finished(self) -> bool:
        """Whether the run is finished."""
        return self._content["status"] == "finished"

    @property
    def results(self) -> dict[str, Any]:
        """The results recorded so far, by name."""
        return dict(self._content.get("results", {}))

    def add_results(self, **results: Any) -> None:
        """Adds to the results and writes them immediately."""
        self._content["results"] = {**self.results, **results}
        self._write()

    def record_start(self, **facts: Any) -> None:
        """Records a start of this run in `run.json`: time, command, versions, machine and `facts`."""
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
        self._content.setdefault("starts", []).append({**start, **facts})
        self._write()

    def finish(self, results: dict[str, Any]) -> None:
        """Marks the run as finished and removes the states, which only a resume would need."""
        self._content["status"] = "finished"
        self._content["ended"] = _now()
        self.add_results(**results)
        self._tidy_up()
        self.close()

    def _tidy_up(self) -> None:
        if self._writes:
            shutil.rmtree(self.folder / training_state.STATES_FOLDER, ignore_errors=True)
            if (self.folder / native.CONFIG_FILE).exists():
                native.renew_card(self.folder)
            self._upload()

    def save_state(self, model: keras.Model, **state: Any) -> None:
        """Saves weights, optimizer, dropout's seeds, the step and `state`; deletes all but the newest two states."""
        if self._writes:
            training_state.save_checkpoint(self.folder, model, **state)
            self._upload()

    def newest_state(self) -> int:
        """The step of the newest undamaged state, or 0; a damaged one is logged, and removed if this process writes."""
        return training_state.newest_checkpoint(self.folder, remove_damaged=self._writes)

    def restore_state(self, model: keras.Model, step: int) -> dict[str, Any]:
        """Loads the state of `step` into the compiled `model`; returns what was saved with it. Step 0 loads nothing."""
        return training_state.restore_checkpoint(self.folder, model, step) if step else {}

    def _write(self) -> None:
        if self._writes:
            atomic.write_json(self.folder / RUN_FILE, self._content)
            self._upload()

    def _upload(self) -> None:
        if self._mirror:
            self._mirror.upload()


def _local_folder(path: AnyPath, writes: bool) -> tuple[Path, Mirror | None]:
    """The local folder in which a process writes the run at `path` or reads its states; for an address, its mirror."""
    if isinstance(path, Path):
        return path, None
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    folder = cache_folder() / "runs" / (name if writes else f"{name}-{os.getpid()}")
    return folder, Mirror(folder, path, (LOCK_FILE,), (training_state.STATE_FILE, RUN_FILE))


def read_run(path: AnyPath | str) -> dict[str, Any] | None:
    """The content of `run.json` in the folder `path`, or `None` if there is none.

    Raises:
        UserError: it is damaged.
    """
    file = path_of(path) / RUN_FILE
    if not file.exists():
        return None
    content = atomic.read_json(file, "restore it or delete the run")
    parts = (content.get("settings"), content.get("results", {}))
    if not all(isinstance(part, dict) for part in parts) or "status" not in content:
        raise UserError(f"{file}: does not describe a run; restore it or delete the run")
    return content


def settings_of(model: AnyPath | str) -> dict[str, Any]:
    """The settings of the run that made the model in a folder; empty for a model that no run there describes.

    The model in `best/` has no `run.json` of its own: it is described by the run around it.

    Args:
        model: path. A run's folder, its `best/`, or the folder of any other model.

    Example:
        >>> RunDirectory("short-rows", {"max_length": 128}).close()
        >>> settings_of("short-rows"), settings_of("short-rows/best"), settings_of("elsewhere")
        ({'max_length': 128}, {'max_length': 128}, {})
    """
    path = path_of(model)
    content = read_run(path)
    if content is None and not isinstance(path, HubAddress):  # whose name may be that of a whole repository
        path = path.resolve() if isinstance(path, Path) else path
        content = read_run(path.parent) if path.name == BEST_FOLDER else None
    return content["settings"] if content else {}


def start_settings(init: AnyPath | str | BertConfig) -> dict[str, Any]:
    """The settings that record what a run starts from: sizes of random weights, or a path, for a hub with its commit.

    Example:
        >>> start_settings("pretrained")
        {'start': 'pretrained'}
    """
    if isinstance(init, BertConfig):
        return {"start": init.to_dict()}
    path = path_of(init)
    commit = {"start_commit": path.commit} if isinstance(path, HubAddress) else {}
    return {"start": str(path), **commit}


def pin_start_commit(init: Any, *runs: AnyPath | str) -> Any:
    """`init`; if it is on a hub, at the commit that one of `runs` started from, even if the branch has moved since.

    Args:
        init: path or BertConfig. What a run starts from.
        runs: paths. Folders of runs, which need not exist.
    """
    path = init if isinstance(init, BertConfig) else path_of(init)
    if isinstance(path, HubAddress):
        for run in runs:
            settings = (read_run(path_to_write(run)) or {}).get("settings", {})
            if settings.get("start") == str(path) and "start_commit" in settings:
                return path.at(settings["start_commit"])
        return path
    return init


def differences_of(held: Any, asked: Any, name: str = "") -> list[str]:
    """Where two settings differ, down to the single field; one text for each.

    Example:
        >>> differences_of({"start": "a", "training": {"steps": 5}}, {"start": "a", "training": {"steps": 9}})
        ['training.steps 5, not 9']
    """
    if isinstance(held, dict) and isinstance(asked, dict):
        names = sorted(set(held) | set(asked))
        return [
            text for key in names for text in differences_of(held.get(key), asked.get(key), f"{name}.{key}".lstrip("."))
        ]
    return [] if held == asked else [f"{name} {_short(held)}, not {_short(asked)}"]


def _short(value: Any) -> str:
    """A setting as an error shows it: the first digits of each checksum; other long values are cut."""
    text = "none" if value is None else CHECKSUM.sub(lambda found: found[0][:6], str(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
