"""Formats: detects the format of a folder, and reads and writes checkpoints in these formats."""

from __future__ import annotations

import importlib
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES
from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE, Checkpoint, finished_run, read_task
from keras_bert_scratch.checkpoints.sentence_transformers import read_embedding
from keras_bert_scratch.config import BOTH, LEFT_TO_RIGHT
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import read_current
from keras_bert_scratch.filesystem import AnyPath, names_in, path_of
from keras_bert_scratch.json_fields import UnsupportedSettingError
from keras_bert_scratch.text.vocabulary_files import has_vocabulary, read_target_vocabulary, read_vocabulary
from keras_bert_scratch.transfer import local_copy

# Each is a module of this package with `read`, `files` (the names of what `read` reads), and `write` if it can be
# written. The modules are imported on demand, as some need TensorFlow.
FORMATS = {
    "native": "keras_bert_scratch",
    "huggingface": "Hugging Face",
    "google": "Google TF1 checkpoint",
    "model_garden": "TensorFlow Model Garden",
    "keras_hub": "KerasHub preset",
}
WITHOUT_HEADS = ("keras_hub",)
HEADS_FILE = "task.weights.h5"  # of KerasHub's
WRITABLE = ("huggingface", "google", "keras_hub", "native")


def detect_format(path: AnyPath | str) -> str:
    """Detects which of `FORMATS` the folder `path` is in, from its files.

    Raises:
        UserError: it is in none of them; the message says what was looked for.
    """
    path = path_of(path)
    if not path.exists():
        raise UserError(f"{path}: no such folder; check the path")
    if not path.is_dir():
        raise UserError(f"{path}: is not a folder; give the folder that holds the model's files")
    if by_config := read_current(path, "config.json", _by_config):
        return by_config
    if (path / "saved_model.pb").exists():
        return "model_garden"
    if (path / "bert_config.json").exists():
        graph = b"_CHECKPOINTABLE_OBJECT_GRAPH"
        indices = [file for file in path.iterdir() if file.name.endswith(".index")]
        return "model_garden" if any(graph in file.read_bytes() for file in indices) else "google"
    raise UserError(
        f"{path}: holds no model: neither config.json (ours, Hugging Face's, KerasHub's) nor bert_config.json "
        f"(Google's) nor saved_model.pb, but {names_in(path)}; give the folder of a model"
    )


def _by_config(file: AnyPath) -> str:
    values = atomic.read_json(file)
    if "architecture" in values:
        return "native"
    if "class_name" in values:
        return "keras_hub"
    if "model_type" in values or "hidden_size" in values:
        return "huggingface"
    raise UserError(f"{file}: does not describe a known kind of model; give the folder of a BERT")


def read_checkpoint(path: AnyPath | str) -> Checkpoint:
    """Reads the model in the folder `path`, in any known format.

    A tokenizer with unsupported settings is left out, and a note says so: the model itself is not affected. The
    `task.json`, which says what it was fine-tuned for, is included unchanged if it is ours.

    Raises:
        UserError: it has no known format, is damaged, or is not a BERT; the message names the file or tensor.
    """
    path = path_of(path)
    with local_copy(path, files_to_read) as folder:
        written_by = detect_format(folder)
        checkpoint = _module(written_by).read(folder)
    if written_by in WITHOUT_HEADS and (path / HEADS_FILE).exists():
        checkpoint.notes.append(f"the task's head ({HEADS_FILE}) is left out; only the backbone is read")
    checkpoint.notes = [note.replace(str(folder), str(path)) for note in checkpoint.notes]
    checkpoint.task = read_task(path)
    if checkpoint.task is None and (task := path / TASK_FILE).exists():
        checkpoint.notes.append(f"{task}: is another program's and says nothing about a task here; it is left out")
    checkpoint.run = finished_run(path)
    if has_vocabulary(path):
        try:
            files = read_vocabulary(path)
        except UnsupportedSettingError as refusal:
            checkpoint.notes.append(f"{refusal}; the vocabulary is left out")
            return checkpoint
        checkpoint.notes += files.notes
        checkpoint.vocabulary = files.vocabulary
        checkpoint.config.check_vocabulary(len(files.vocabulary), files.vocabulary.origin)
        if checkpoint.rules is None:
            checkpoint.rules = files.word_rules()
    if (target := read_target_vocabulary(path)) is not None:
        checkpoint.target_vocabulary, checkpoint.target_rules = target.vocabulary, target.word_rules()
    if written_by == "huggingface":
        try:
            checkpoint.embedding, notes = read_embedding(path, checkpoint.lowercase)
            checkpoint.notes += notes
        except UnsupportedSettingError as refusal:
            checkpoint.notes.append(f"{refusal}; its embedding method is left out")
    return checkpoint


def files_to_read(path: AnyPath) -> list[str]:
    """The names of the files that hold the model in the folder `path`: config and weights of the detected format."""
    return [name for name in _module(detect_format(path)).files(path) if (path / name).exists()]


def write_checkpoint(checkpoint: Checkpoint, path: AnyPath | str, to: str) -> None:
    """Writes the new folder `path` in the format `to`, one of `WRITABLE`; the notes then say what it cannot hold."""
    if to not in WRITABLE:
        raise UserError(f"`to`: {to!r} is unknown; choose one of {', '.join(WRITABLE)}")
    checkpoint.check()
    _check_direction(checkpoint, to)
    if checkpoint.embedding is not None and to in ("google", "keras_hub"):
        checkpoint.notes.append(f"its embedding method is left out: {checkpoint.embedding.described}")
    with atomic.write_folder(path) as staged:
        _module(to).write(checkpoint, staged)
        if checkpoint.task is not None and to not in WITHOUT_HEADS:
            (staged / TASK_FILE).write_bytes(checkpoint.task)


def _check_direction(checkpoint: Checkpoint, to: str) -> None:
    """Raises `UserError` for a one-way model if the format `to`, or its form of the head, does not support it."""
    direction = checkpoint.config.direction
    if to == "native" or direction == BOTH:
        return
    if to != "huggingface" or direction != LEFT_TO_RIGHT:
        raise UserError(f"`to`: {to} has no {direction} models; choose native")
    if ARCHITECTURES[checkpoint.architecture].needs_pooler:
        raise UserError(
            f"`to`: the head of a {checkpoint.architecture} reads the last token, but in huggingface it reads the "
            f"first; choose native"
        )


def _module(name: str) -> Any:
    return importlib.import_module(f"keras_bert_scratch.checkpoints.{name}")
