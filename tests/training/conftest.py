"""Fixtures for small pretraining runs."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.filesystem import path_of
from keras_bert_scratch.tensor_file import read_tensors
from keras_bert_scratch.training.callbacks import CheckpointSaver
from keras_bert_scratch.training.options import TrainingOptions
from keras_bert_scratch.training.pretraining import pretrain
from keras_bert_scratch.training.training_state import steps_taken

STEPS = 60


def run_it(records, small, out, **changes):
    arguments = {
        "training": TrainingOptions(steps=STEPS, learning_rate=1e-3),
        "batch_size": 4,
        "max_length": 32,
        **changes,
    }
    return pretrain(kbs.PretrainingRecords(records), small, out, **arguments)


def weights(run: Path | str) -> dict[str, np.ndarray]:
    return read_tensors(Path(run) / "model.weights.h5")


@pytest.fixture(scope="session")
def finished(records, small, tmp_path_factory, curves_are_not_drawn):
    out = tmp_path_factory.mktemp("runs") / "run"
    with curves_are_not_drawn():  # except for this run
        run_it(records, small, out, held_out=kbs.PretrainingRecords(records))
    return out


@pytest.fixture
def interrupted_after(monkeypatch):
    """A function that presses Ctrl-C once, so that the run ends after the given step."""

    def press(step: int) -> None:
        kept = CheckpointSaver.on_train_batch_end

        def pressed(self, batch, logs=None):
            if steps_taken(self.model) == step - 1:  # all workers stop together, one step later
                monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", kept)
                os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(CheckpointSaver, "on_train_batch_end", pressed)

    return press


@pytest.fixture
def there(tmp_path) -> str:
    """An address where nothing exists yet; `ram://` is a file system of TensorFlow in memory."""
    return f"ram://{tmp_path.name}/deep/there"


def files(folder) -> set[str]:
    folder = path_of(folder)
    if isinstance(folder, Path):
        return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return {str(file).removeprefix(f"{folder}/") for file in folder.walk_files()}
