"""A model as a directory: `config.json` (what it is), `model.weights.h5`, `vocab.txt` (its words); no pickles."""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import Any, Protocol, Self

import keras

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tensor_file import read_tensors, write_tensors
from keras_bert_scratch.version import WRITTEN_BY

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.weights.h5"
# Where each architecture is defined; imported when a folder asks for it, as each of them imports this file.
ARCHITECTURES = {"BertBackbone": "backbone", "BertPretrainer": "pretrainer", "BertTextClassifier": "text_classifier"}


class SavesItself(Protocol):
    """What `save_pretrained` asks of a tokenizer."""

    def save(self, path: Path) -> None: ...


class SavedAsDirectory:
    """`save_pretrained` and `from_pretrained` for the models here."""

    def save_pretrained(self, path: Path | str, tokenizer: SavesItself | None = None) -> None:
        """Writes the model, and its tokenizer if one is given, into the folder `path`, replacing files of these names.

        Each file is written aside and renamed, the weights last: a folder with `model.weights.h5` is whole.
        """
        path = Path(path)
        if tokenizer is not None:
            tokenizer.save(path)
        description = {
            "architecture": type(self).__name__,
            "arguments": self.get_config(),  # type: ignore[attr-defined]  # keras.Model's
            "written_by": WRITTEN_BY,
        }
        atomic.write_json(path / CONFIG_FILE, description)
        weights = {name: keras.ops.convert_to_numpy(variable) for name, variable in _named_weights(self).items()}
        write_tensors(path / WEIGHTS_FILE, weights)

    @classmethod
    def from_pretrained(cls, path: Path | str, dtype: Any = None, **arguments: Any) -> Self:
        """The model that `save_pretrained` wrote, or its backbone under a new head of this class.

        Args:
            path: the folder.
            dtype: Keras dtype policy for the layers.
            arguments: what a new head needs, such as `num_classes=2`.

        Raises:
            UserError: the folder or one of its files is missing or not what it should be.
        """
        stored = load_model(path, dtype=dtype)
        if isinstance(stored, cls) and all(getattr(stored, name, None) == value for name, value in arguments.items()):
            return stored
        backbone = getattr(stored, "backbone", stored)
        if "backbone" not in inspect.signature(cls).parameters:
            return backbone
        missing = [
            name
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            and name not in ("backbone", *arguments)
        ]
        if missing:
            raise UserError(f"{path}: holds a {type(stored).__name__}, so a new {cls.__name__} needs {missing[0]}=...")
        return cls(backbone, **arguments)


def read_description(path: Path | str) -> dict[str, Any]:
    """What `config.json` in the folder `path` says, checked."""
    file = Path(path) / CONFIG_FILE
    if not file.exists():
        raise UserError(f"{path}: holds no {CONFIG_FILE}; give a folder written by save_pretrained or a finished run")
    try:
        description = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: is not JSON ({error}); restore it or write the model again") from error
    if not isinstance(description, dict) or description.get("architecture") not in ARCHITECTURES:
        raise UserError(f"{file}: names no architecture of this library ({', '.join(ARCHITECTURES)})")
    return description


def load_model(path: Path | str, dtype: Any = None) -> Any:
    """Whatever model the folder `path` holds, with its weights."""
    description = read_description(path)
    weights = Path(path) / WEIGHTS_FILE
    if not weights.exists():
        raise UserError(f"{path}: holds no {WEIGHTS_FILE}; the run that writes it has not finished: start it again")
    architecture = _architecture(description["architecture"])
    arguments = dict(description["arguments"])
    inner = arguments if description["architecture"] == "BertBackbone" else arguments["backbone"]
    inner["dtype"] = dtype
    model = architecture.from_config(arguments)
    _read_weights(model, weights)
    return model


def _named_weights(model: Any) -> dict[str, Any]:
    """The weights by the names that they have in the file, which are those of the layers in the code."""
    return {variable.path: variable for variable in model.trainable_variables}


def _read_weights(model: Any, file: Path) -> None:
    """Every weight of the model from `file`, and nothing else in it: none is left as it was drawn."""
    wanted, held = _named_weights(model), read_tensors(file)
    for name in sorted(wanted.keys() ^ held.keys()):
        verb = "lacks" if name in wanted else "also holds"
        raise UserError(f"{file}: {verb} {name}, so it is not of this {CONFIG_FILE}; write the model again")
    for name, variable in wanted.items():
        if held[name].shape != variable.shape:
            raise UserError(
                f"{file}: {name} has the shape {held[name].shape}, not the {tuple(variable.shape)} of {CONFIG_FILE}; "
                f"write the model again"
            )
        variable.assign(held[name])


def backbone_from_config(config: dict[str, Any]) -> Any:
    """The backbone that a head's `get_config` described."""
    return _architecture("BertBackbone").from_config(config)


def _architecture(name: str) -> Any:
    return getattr(importlib.import_module(f"keras_bert_scratch.models.{ARCHITECTURES[name]}"), name)
