"""Training states, which unfinished runs resume from: weights, optimizer, seeds and step, in folders with checksum."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tensor_file import iterate_tensors, write_tensors

STATES_FOLDER = "training_state"
VARIABLES_FILE = "variables.h5"
STATE_FILE = "state.json"
CHECKPOINTS_KEPT = 2

log = logging.getLogger(__name__)


def steps_taken(model: keras.Model) -> int:
    """The number of steps that the optimizer of `model` has made."""
    return int(keras.ops.convert_to_numpy(model.optimizer.iterations))


def list_checkpoints(run: AnyPath | str) -> list[AnyPath]:
    """The folders of the states that an unfinished run in the folder `run` can be resumed from, the newest last."""
    folder = path_of(run) / STATES_FOLDER
    found = folder.iterdir() if folder.is_dir() else ()
    return sorted(entry for entry in found if re.fullmatch(r"step-\d+", entry.name))


def save_checkpoint(run: Path, model: keras.Model, **state: Any) -> None:
    """Writes the state of the compiled `model` and `state`, variable by variable; keeps only the newest two states.

    Does nothing if the step's state exists already.

    Raises:
        UserError: the state cannot be written; earlier states are kept.
    """
    step = steps_taken(model)
    folder = _folder(run, step)
    if folder.exists():
        return
    with atomic.write_folder(folder) as temporary:
        variables = enumerate(_state_variables(model))
        # Not `convert_to_numpy`, which copies a TensorFlow variable twice.
        tensors = ((str(number), np.asarray(variable)) for number, variable in variables)
        write_tensors(temporary / VARIABLES_FILE, tensors)
        digest = _digest(temporary / VARIABLES_FILE)
        atomic.write_json(temporary / STATE_FILE, {"step": step, "sha256": digest, **state})
    for old in list_checkpoints(run)[:-CHECKPOINTS_KEPT]:
        shutil.rmtree(old)


def newest_checkpoint(run: Path, remove_damaged: bool) -> int:
    """The step of the newest undamaged state, or 0. Damaged states are logged."""
    for folder in reversed(list_checkpoints(run)):
        damage = _damage(folder)
        if not damage:
            return int(folder.name.removeprefix("step-"))
        log.warning("%s: is damaged (%s); going back to the previous state", folder, damage)
        if remove_damaged:
            shutil.rmtree(folder)
    return 0


def restore_checkpoint(run: Path, model: keras.Model, step: int) -> dict[str, Any]:
    """Restores the state of `step` into the compiled `model`; returns what was saved with it.

    Raises:
        UserError: it is the state of a model or optimizer with other variables.
    """
    folder = _folder(run, step)
    variables = {str(number): variable for number, variable in enumerate(_state_variables(model))}
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    for name, value in iterate_tensors(folder / VARIABLES_FILE):
        if shapes.pop(name, None) != value.shape:
            shapes[name] = value.shape
            break
        variables[name].assign(value)
    if shapes:
        raise UserError(
            f"{folder}: holds other variables than this version of the library trains; continue with the version "
            f"that wrote it, or delete the run"
        )
    return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))


def _folder(run: Path, step: int) -> Path:
    return run / STATES_FOLDER / f"step-{step:08d}"


def _state_variables(model: keras.Model) -> list[Any]:
    """All variables of a step, in a fixed order: weights, dropout's seeds, the optimizer's moments and step.

    Keras's own `save_weights` leaves out the seeds: a resumed run would drop other activations.
    """
    metrics = {id(variable) for metric in model.metrics for variable in metric.variables}
    return [*(v for v in model.variables if id(v) not in metrics), *model.optimizer.variables]


def _damage(folder: Path) -> str:
    """What is wrong with a state; empty if nothing."""
    try:
        state = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        return "" if _digest(folder / VARIABLES_FILE) == state["sha256"] else f"{VARIABLES_FILE} has a wrong checksum"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return str(error)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
