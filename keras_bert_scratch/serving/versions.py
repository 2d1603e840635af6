"""Versions: the version folders 1, 2, 3... of a model, in TensorFlow Serving's layout."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath

SAVED_MODEL_FILE = "saved_model.pb"
NEXT = "next"
CONFIG_FILE = "models.config"
MOUNTED_AT = "/models"  # where TensorFlow Serving's container images look for models


def version_folder(base: AnyPath, version: str) -> AnyPath:
    """Returns the folder of a new version.

    Args:
        base: path. The model's folder, which may not exist yet.
        version: str. A number from 1, or `"next"` for the one after the highest.

    Raises:
        UserError: `version` is neither, or the folder is itself a SavedModel, which servers would load instead.

    Example:
        >>> from pathlib import Path
        >>> str(version_folder(Path("models/sentiment"), "next"))
        'models/sentiment/1'
    """
    if (base / SAVED_MODEL_FILE).exists():
        raise UserError(f"`out`: {base} is itself a SavedModel; move it to {base}/1 first, or choose another folder")
    if version == NEXT:
        return base / str(1 + max(versions_of(base), default=0))
    if not version.isascii() or not version.isdecimal() or not int(version):
        raise UserError(f"`version`: must be a number from 1, or {NEXT}, not {version!r}")
    return base / str(int(version))


def versions_of(base: AnyPath) -> list[int]:
    """Returns the version numbers in a model's folder, ascending."""
    names = [entry.name for entry in base.iterdir() if entry.is_dir()] if base.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdecimal())


def write_models_config(base: AnyPath) -> str:
    """Writes `models.config` beside a model's folder, for `tensorflow_model_server --model_config_file`.

    It lists every model of the folder with at least one version, at the path where TensorFlow Serving's images look
    for it. A file that was edited is left as it is.

    Args:
        base: path. The folder of a model that has a new version.

    Returns: what was done, for people; for an edited file that does not list the model, also the line to add.
    """
    if isinstance(base, Path) and base.name in ("", ".."):  # `.` and `..` have no name and no folder around them
        base = base.resolve()
    file = base.parent / CONFIG_FILE
    names = [entry.name for entry in sorted(base.parent.iterdir()) if entry.is_dir() and versions_of(entry)]
    if file.exists():
        text = file.read_text()
        listed = re.findall(r'^ *name: "(.*)"$', text, re.MULTILINE)
        # Of a file that was not edited, a model may have been removed since then; none but this one is new.
        if text != _models_config(listed) or not {*names} - {base.name} <= {*listed}:
            if base.name in listed:
                return f"{file}: left as it is, because it was edited"
            (entry,) = _models_config([base.name]).split("model_config_list ")[1:]
            line = " ".join(entry.split()).removeprefix("{ ").removesuffix(" }")
            return f"{file}: left as it is, because it was edited; add to its model_config_list: {line}"
    with atomic.write(file) as temporary:
        temporary.write_text(_models_config(names))
    return f"{file}: written"


def _models_config(names: Sequence[str]) -> str:
    from tensorflow_serving.config import model_server_config_pb2

    models = [
        model_server_config_pb2.ModelConfig(name=name, base_path=f"{MOUNTED_AT}/{name}", model_platform="tensorflow")
        for name in names
    ]
    return str(
        model_server_config_pb2.ModelServerConfig(
            model_config_list=model_server_config_pb2.ModelConfigList(config=models)
        )
    )
