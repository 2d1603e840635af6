"""Loading whatever answers about raw text: a folder of a model, or a SavedModel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.serving.export import SAVED_MODEL_FILE
from keras_bert_scratch.serving.saved_model import SavedModel
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import TASK_FILE


def load_model(
    path: AnyPath | str, task: str | None = None, options: Mapping[str, Any] | None = None
) -> FineTuned | SavedModel:
    """The model in the folder `path`; both kinds have `columns`, `predict`, `predict_stream` and `digest`.

    Args:
        path: path. Of a fine-tuned run, a model in any known format, or a SavedModel made by `export_saved_model`.
        task: str or None, default None. What to use the model for; else what it was fine-tuned for.
        options: mapping or None, default None. The task's options for asking.

    Raises:
        UserError: there is no such model, or it was exported for another task or with other options.
    """
    folder = path_of(path)
    exported = (folder / SAVED_MODEL_FILE).exists()
    if not exported or (task is not None and not (folder / TASK_FILE).exists()):  # as TF-Hub's encoders
        return FineTuned.load(path, task=task, options=options)
    model = SavedModel(folder)
    if task not in (None, model.task):
        raise UserError(f"`task`: {folder} was exported for {model.task}, not {task}; export the model for that")
    for name in options or {}:
        raise UserError(f"`{name}`: {folder} answers as it was exported; leave it out, or export the model anew")
    return model
