"""Spec: what a model was fine-tuned for, which is stored with it as `task.json`."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE, read_task
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.examples import Raw
from keras_bert_scratch.tasks.registry import TASKS, get_task, task_of

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model was fine-tuned for; `task.json` next to its weights. Training, `predict` and export follow it.

    Args:
        task: str. A name of `TASKS`.
        columns: tuple of str. The columns of strings that the model reads, `("text",)` or `("text", "text_pair")`.
        max_length: int. Maximum number of tokens per row.
        labels: tuple of str, default `()`. The names of the classes, in the order of the outputs.
        header_names: mapping, default `{}`. The training table's own names for columns, where they differ.
        options: mapping, default `{}`. The task's own options, JSON-serializable.
        row_lengths: tuple of int, default `()`. The lengths that rows may be padded to, ascending up to `max_length`; a
            batch gets the shortest that fits; `()` for any length. An exported model has fixed lengths.

    Example:
        >>> Spec("classification", ("text",), 128, ("negative", "positive")).labels
        ('negative', 'positive')
    """

    task: str
    columns: tuple[str, ...]
    max_length: int
    labels: tuple[str, ...] = ()
    header_names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    row_lengths: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, JSON-serializable."""
        values = dataclasses.asdict(self)
        if not self.row_lengths:
            del values["row_lengths"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def save(self, directory: AnyPath | str) -> None:
        """Writes `task.json` into `directory`."""
        atomic.write_json(path_of(directory) / TASK_FILE, self.to_dict())

    @classmethod
    def load(cls, directory: AnyPath | str, task: str | None = None) -> Spec:
        """Loads what `save` wrote; for a model without `task.json`, infers the spec from the model.

        Args:
            directory: path. The model's folder.
            task: str or None, default None. The task to use the model for; `None` for what it was fine-tuned for.

        Raises:
            UserError: `task.json` is damaged, or the model has no head for the task.
        """
        content = read_task(directory)
        if content is None:
            return _spec_of_model(path_of(directory), task)
        file = path_of(directory) / TASK_FILE
        try:
            values = json.loads(content)
            values = {"columns": ["text"], **values}  # old files without columns are for a single text
            lists = {name: tuple(values.get(name, ())) for name in ("columns", "labels", "row_lengths")}
            spec = cls(**{**values, **lists})
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file}: is damaged ({error}); fine-tune again") from None
        _check(file, spec)
        if task in (None, spec.task):
            return spec
        if get_task(task).model_class is get_task(spec.task).model_class:
            raise UserError(f"`task`: {path_of(directory)} was fine-tuned for {spec.task}, not {task}; leave it out")
        return _spec_of_model(path_of(directory), task)

    def renamed(self, header_names: Mapping[str, str]) -> Spec:
        """The spec for a table whose names for columns differ from the training table's."""
        return dataclasses.replace(self, header_names={**self.header_names, **header_names})

    def with_prediction_options(self, options: Mapping[str, Any]) -> Spec:
        """The spec with other values of some of the task's prediction options.

        Raises:
            UserError: the task has no such option, or the value is invalid.
        """
        kind = get_task(self.task).PredictionOptions
        known = {field.name for field in dataclasses.fields(kind)}
        held = {name: value for name, value in self.options.items() if name in known}
        asked = options_of(self.task, kind, {**held, **options})
        return dataclasses.replace(self, options={**self.options, **as_json(asked)})

    def check_columns(self, raw: Raw) -> None:
        """Raises `UserError` unless `raw` has the columns that the model was trained on, and no others."""
        if set(raw) != set(self.columns):
            raise UserError(
                f"columns: the model reads {_listed(self.columns)}, not {_listed(raw)}; give exactly the "
                f"columns that it was trained on"
            )


def options_of(task: str, kind: type, values: Mapping[str, Any]) -> Any:
    """Builds a task's options object from `values`.

    Args:
        task: str. The task's name, for errors.
        kind: class. The task's `Options`, or its `PredictionOptions`.
        values: mapping. The values by field name.

    Raises:
        UserError: there is no such option; the message lists the task's options.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            raise UserError(f"`{name}`: is not an option of {task}; its options are {', '.join(known) or 'none'}")
    return kind(**values)


def as_json(options: Any) -> dict[str, Any]:
    """The fields of an options object after a round trip through JSON, which turns tuples into lists."""
    return json.loads(json.dumps(dataclasses.asdict(options)))


def _spec_of_model(directory: AnyPath, task: str | None) -> Spec:
    """The spec inferred from a model's class, label names and problem type.

    Columns, length and options are the task's defaults, unless its files state them, as sentence-transformers' do.
    """
    if not directory.exists():
        raise UserError(f"{directory}: no such folder; check the path")
    checkpoint = read_checkpoint(directory) if directory.is_dir() and any(directory.iterdir()) else None
    name = task or (checkpoint and task_of(checkpoint))
    if checkpoint is None or name is None:
        raise UserError(
            f"{directory}: holds no {TASK_FILE}, so it is not a fine-tuned model; train one with 'keras-bert finetune'"
        )
    spec = get_task(name).spec_of(checkpoint, directory)
    if task is None:
        log.warning(
            "%s: holds no %s; treated as a model for %s of %s", directory, TASK_FILE, name, _listed(spec.columns)
        )
    return spec


def _check(file: AnyPath, spec: Spec) -> None:
    strings = (*spec.columns, *spec.labels)
    if (
        not spec.columns
        or not all(isinstance(value, str) for value in strings)
        or type(spec.max_length) is not int
        or spec.max_length < 1
        or not isinstance(spec.options, dict)
        or not isinstance(spec.header_names, dict)
        or not all(type(length) is int for length in spec.row_lengths)
    ):
        raise UserError(f"{file}: is damaged (columns, labels, lengths or options have a wrong type); fine-tune again")
    if spec.task not in TASKS:
        raise UserError(f"{file}: has the unknown task {spec.task!r}; known tasks are {', '.join(TASKS)}")


def _listed(names: Any) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"
