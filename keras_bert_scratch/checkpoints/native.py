"""Our own folders: `config.json`, `model.weights.h5`, and the tokenizer's `vocab.txt` and `tokenizer_config.json`."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES, model_shapes
from keras_bert_scratch.checkpoints.card import CARD_FILE, LIBRARY, card_of, is_ours
from keras_bert_scratch.checkpoints.checkpoint import (
    PROBLEM_TYPES,
    TASK_FILE,
    Checkpoint,
    Embedding,
    check_no_extra_tensors,
    finished_run,
    select_tensors,
)
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import current_file, read_current, replaced_together
from keras_bert_scratch.filesystem import AnyPath, path_of, path_to_write
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.text.vocabulary_files import (
    TARGET,
    TARGET_FILES,
    has_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from keras_bert_scratch.version import WRITTEN_BY

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"


def files(path: AnyPath) -> tuple[str, ...]:
    """The names of the files that `read` reads in the folder `path`, if they exist."""
    return CONFIG_FILE, WEIGHTS_FILE, TASK_FILE


def read(path: Path) -> Checkpoint:
    """Reads what `write` wrote."""
    described = read_current(path, CONFIG_FILE, atomic.read_json)
    if described is None:
        raise UserError(f"{path}: holds no {CONFIG_FILE}; give the folder of a model")
    checkpoint = _outline(path, described)
    held = read_current(path, WEIGHTS_FILE, read_tensors)
    if held is None:
        raise UserError(f"{path}: holds no {WEIGHTS_FILE}; the run that writes it has not finished; resume that run")
    weights_file = path / WEIGHTS_FILE
    shapes = {name: tensor.shape for name, tensor in checkpoint.weights.items()}
    checkpoint.weights = select_tensors(weights_file, shapes, str, held)
    check_no_extra_tensors(weights_file, held, shapes)
    # Another process may have replaced the folder's files meanwhile.
    if read_current(path, CONFIG_FILE, atomic.read_json) != described:
        return read(path)
    return checkpoint


def _outline(path: AnyPath, described: dict[str, Any]) -> Checkpoint:
    """The checkpoint that `config.json` describes; its weights have the right shapes, but take no memory."""
    config_file = path / CONFIG_FILE
    architecture = described.get("architecture")
    if architecture not in tuple(ARCHITECTURES):
        raise UserError(
            f"{config_file}: its architecture {architecture!r} is unknown; this library has {', '.join(ARCHITECTURES)}"
        )
    try:
        config = BertConfig.from_dict(described["config"], str(config_file))
        pooler, num_classes = described["pooler"], described["num_classes"] or 0
        crf = bool(described.get("crf", False))
        decoder = described.get("decoder")
        decoder = decoder and BertConfig.from_dict(decoder, f"{config_file}: decoder")
    except KeyError as error:
        raise UserError(f"{config_file}: lacks {error}; write the model again") from None
    label_names = described.get("label_names") or _labels_from_task_file(path)
    problem_type = described.get("problem_type")
    if type(num_classes) is not int or not isinstance(label_names, list) or problem_type not in (None, *PROBLEM_TYPES):
        raise UserError(f"{config_file}: num_classes, label_names or problem_type is damaged; write the model again")
    shapes = model_shapes(config, architecture, bool(pooler), num_classes, crf, decoder)
    weights = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    names = tuple(map(str, label_names))
    embedding = _embedding(config_file, described.get("embedding"))
    return Checkpoint(
        architecture, config, weights, label_names=names, problem_type=problem_type, embedding=embedding,
        decoder=decoder,
    )  # fmt: skip


def write(checkpoint: Checkpoint, path: AnyPath | str) -> None:
    """Replaces the model in the folder `path`, or creates the folder; other files in it are kept.

    Even if the process or the machine dies, a reader finds the complete old or new model; at an address, maybe none.

    Raises:
        UserError: the weights are not those of the architecture, or a vocabulary has more tokens than the model: the
            checkpoint's or, if it has none, the folder's, which is kept. Nothing is replaced then.
    """
    checkpoint.check()
    path = path_to_write(path)
    if checkpoint.vocabulary is not None:
        checkpoint.config.check_vocabulary(len(checkpoint.vocabulary), checkpoint.vocabulary.origin)
    elif has_vocabulary(path):
        stays = read_vocabulary(path).vocabulary
        checkpoint.config.check_vocabulary(len(stays), stays.origin)
    if checkpoint.target_vocabulary is not None:
        target_config = checkpoint.decoder or checkpoint.config
        target_config.check_vocabulary(len(checkpoint.target_vocabulary), checkpoint.target_vocabulary.origin)
    described = {
        "architecture": checkpoint.architecture,
        "config": checkpoint.config.to_dict(),
        "pooler": checkpoint.has_pooler,
        "num_classes": checkpoint.num_classes,
        "crf": checkpoint.has_crf,
        "label_names": list(checkpoint.label_names),
        "problem_type": checkpoint.problem_type,
        "embedding": checkpoint.embedding and dataclasses.asdict(checkpoint.embedding),
        "decoder": checkpoint.decoder and checkpoint.decoder.to_dict(),
        "written_by": WRITTEN_BY,
    }
    with replaced_together(path, without=TARGET_FILES if checkpoint.vocabulary is not None else ()) as staged:
        if checkpoint.vocabulary is not None:
            write_vocabulary(staged, checkpoint.vocabulary, checkpoint.rules)
        if checkpoint.target_vocabulary is not None:
            write_vocabulary(staged, checkpoint.target_vocabulary, checkpoint.target_rules, TARGET)
        atomic.write_json(staged / CONFIG_FILE, described)
        write_tensors(staged / WEIGHTS_FILE, checkpoint.weights)
        if is_ours(path):
            (staged / CARD_FILE).write_text(card_of(checkpoint, LIBRARY), encoding="utf-8")


def renew_card(path: AnyPath | str, place: AnyPath | str | None = None) -> None:
    """Rewrites the card of the model in the folder `path`, with what was written since: task and training.

    Args:
        path: the model's folder.
        place: where its files will be moved to, if elsewhere. A card there that a person wrote or changed is kept.
    """
    place = path_of(path if place is None else place)
    if not is_ours(place):
        with contextlib.suppress(FileNotFoundError):
            if place != path_of(path):
                (path_of(path) / CARD_FILE).unlink()
        return
    task = current_file(path, TASK_FILE)
    checkpoint = _outline(path_of(path), atomic.read_json(current_file(path, CONFIG_FILE)))
    checkpoint.task = task.read_bytes() if task.exists() else None
    checkpoint.run = finished_run(place)
    if has_vocabulary(path):
        files = read_vocabulary(path)
        checkpoint.vocabulary, checkpoint.rules = files.vocabulary, files.word_rules()
    atomic.write_text(path_of(path) / CARD_FILE, card_of(checkpoint, LIBRARY))


def _embedding(file: AnyPath, told: Any) -> Embedding | None:
    if told is None:
        return None
    try:
        layers = told["layer_numbers"]
        return Embedding(**{**told, "layer_numbers": None if layers is None else tuple(layers)})
    except (TypeError, KeyError) as error:
        raise UserError(f"{file}: embedding is damaged ({error}); write the model again") from None


def _labels_from_task_file(path: AnyPath) -> list[Any]:
    """The labels in `task.json`, where fine-tuning runs wrote them before `config.json` held them."""
    labels = (read_current(path, TASK_FILE, atomic.read_json) or {}).get("labels")
    return labels if isinstance(labels, list) else []
