"""Our own folders: `config.json`, `model.weights.h5`, `vocab.txt`, the casing, `task.json` where there is a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.bert_config import read_json
from keras_bert_scratch.checkpoints.checkpoint import (
    ARCHITECTURES,
    Checkpoint,
    model_shapes,
    refuse_others,
    take_tensors,
)
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.text.vocabulary_files import write_vocabulary
from keras_bert_scratch.version import WRITTEN_BY

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
TASK_FILE = "task.json"


def read(path: Path) -> Checkpoint:
    """Reads what `write` wrote."""
    described = read_json(path / CONFIG_FILE)
    architecture = described.get("architecture")
    if architecture not in ARCHITECTURES:
        raise UserError(
            f"{path / CONFIG_FILE}: names no architecture of this library but {architecture!r}; "
            f"it knows {', '.join(ARCHITECTURES)}"
        )
    if not (path / WEIGHTS_FILE).exists():
        raise UserError(f"{path}: holds no {WEIGHTS_FILE}; the run that writes it has not finished: start it again")
    try:
        config = BertConfig.from_dict(described["config"], str(path / CONFIG_FILE))
        pooler, num_classes = described["pooler"], described["num_classes"] or 0
    except (KeyError, TypeError) as error:
        raise UserError(f"{path / CONFIG_FILE}: lacks {error}; write the model again") from None
    held = read_tensors(path / WEIGHTS_FILE)
    shapes = model_shapes(config, architecture, pooler, num_classes)
    weights = take_tensors(path / WEIGHTS_FILE, shapes, str, held)
    refuse_others(path / WEIGHTS_FILE, held, shapes)
    label_names = tuple(described.get("label_names") or _tasks_labels(path / TASK_FILE))
    return Checkpoint(architecture, config, weights, label_names=label_names)


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Writes each file aside and renames it, the weights last: a folder with `model.weights.h5` is whole."""
    if checkpoint.vocabulary is not None:
        write_vocabulary(path, checkpoint.vocabulary, bool(checkpoint.lowercase))
    if checkpoint.label_names and checkpoint.architecture == "BertTextClassifier":
        write_task(path, "classification", checkpoint.label_names, checkpoint.config.max_position_embeddings)
    described = {
        "architecture": checkpoint.architecture,
        "config": checkpoint.config.to_dict(),
        "pooler": checkpoint.has_pooler,
        "num_classes": checkpoint.num_classes,
        "label_names": list(checkpoint.label_names),
        "written_by": WRITTEN_BY,
    }
    atomic.write_json(path / CONFIG_FILE, described)
    write_tensors(path / WEIGHTS_FILE, checkpoint.weights)


def write_task(path: Path, task: str, label_names: Sequence[str], max_length: int) -> None:
    """Writes `task.json`: what a fine-tuned model is for."""
    atomic.write_json(path / TASK_FILE, {"task": task, "labels": list(label_names), "max_length": max_length})


def _tasks_labels(file: Path) -> tuple[str, ...]:
    if not file.exists():
        return ()
    labels: Any = read_json(file).get("labels")
    return tuple(map(str, labels)) if isinstance(labels, list) else ()
