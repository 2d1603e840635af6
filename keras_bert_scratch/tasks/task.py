"""What a task is: `Spec`, which is stored with a model; `Task`, which one file per task implements; the registry."""

from __future__ import annotations

import abc
import dataclasses
import importlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE, Checkpoint
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import current_file
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.labels import check_problem_type
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.error_analysis import Breakdown, WrongAnswer
from keras_bert_scratch.transfer import read_text

# By name: the module beside this one that holds it, as `TASK`. Imported when asked for.
TASKS = {
    "classification": "classification",
    "pair-classification": "pair_classification",
    "regression": "regression",
    "multi-label": "multi_label",
    "ner": "ner",
    "qa": "qa",
    "choice": "choice",
    "fill-mask": "fill_mask",
    "embed": "embed",
}

# Of a model without `task.json`: by its class, of a classifier by Hugging Face's problem_type.
TASK_OF_MODEL = {
    "BertBackbone": "embed",
    "BertTextEmbedder": "embed",
    "BertTokenClassifier": "ner",
    "BertQuestionAnswerer": "qa",
    "BertMultipleChoice": "choice",
    "BertPretrainer": "fill-mask",
    "BertMaskedLM": "fill-mask",
}
TASK_OF_PROBLEM = {
    "single_label_classification": "classification",
    "multi_label_classification": "multi-label",
    "regression": "regression",
}

log = logging.getLogger(__name__)

# Columns of strings, as tables, `predict` and the exported signature name them.
Raw = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a model was fine-tuned for; `task.json` beside its weights. Training, `predict` and export go by it.

    Args:
        task: str. A name of `TASKS`.
        columns: tuple of str. The columns of strings that the model reads, `("text",)` or `("text", "text_pair")`.
        max_length: int. Tokens of a row at most.
        labels: tuple of str, default `()`. What the classes are called, in the order of the outputs.
        header_names: mapping, default `{}`. What the training table called a column, where that is another name.
        options: mapping, default `{}`. The task's own options, as JSON can hold them.

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

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON can hold it."""
        values = dataclasses.asdict(self)
        return {**values, "columns": list(self.columns), "labels": list(self.labels)}

    def save(self, directory: AnyPath | str) -> None:
        """Writes `task.json` into `directory`."""
        atomic.write_json(path_of(directory) / TASK_FILE, self.to_dict())

    @classmethod
    def load(cls, directory: AnyPath | str, task: str | None = None) -> Spec:
        """What `save` wrote; of a model that came without it, what the model itself tells.

        Args:
            directory: path. The model's folder.
            task: str or None, default None. What to use the model for; else what it was fine-tuned for.

        Raises:
            UserError: `task.json` is damaged, or the model has no head for the task.
        """
        file = current_file(directory, TASK_FILE)
        if not file.exists():
            return _spec_of_model(path_of(directory), task)
        try:
            values = json.loads(read_text(file))
            values = {"columns": ["text"], **values}  # of one text, before columns were stored
            spec = cls(**{**values, "columns": tuple(values["columns"]), "labels": tuple(values.get("labels", ()))})
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(f"{file}: is damaged ({error}); fine-tune again") from None
        _check(file, spec)
        if task in (None, spec.task):
            return spec
        if get_task(task).model_class is get_task(spec.task).model_class:
            raise UserError(f"`task`: {path_of(directory)} was fine-tuned for {spec.task}, not {task}; leave it out")
        return _spec_of_model(path_of(directory), task)

    def renamed(self, header_names: Mapping[str, str]) -> Spec:
        """For a table that calls some columns otherwise than the training table."""
        return dataclasses.replace(self, header_names={**self.header_names, **header_names})

    def asked(self, options: Mapping[str, Any]) -> Spec:
        """With other values of some of the task's options of asking.

        Raises:
            UserError: the task has no such option, or it cannot have this value.
        """
        kind = get_task(self.task).Asking
        known = {field.name for field in dataclasses.fields(kind)}
        held = {name: value for name, value in self.options.items() if name in known}
        asked = options_of(self.task, kind, {**held, **options})
        return dataclasses.replace(self, options={**self.options, **as_json(asked)})

    def check_columns(self, raw: Raw) -> None:
        """Raises `UserError` unless `raw` has the columns that the model was trained on, and no others."""
        if set(raw) != set(self.columns):
            raise UserError(
                f"columns: the model reads {_listed(self.columns)}, which it was trained on, not "
                f"{_listed(raw)}; give just these"
            )


def _spec_of_model(directory: AnyPath, task: str | None) -> Spec:
    """What a model tells about itself: by its class, label names and problem type.

    What it was trained with beside that is written nowhere: columns, length and options are the task's defaults.
    """
    if not directory.exists():
        raise UserError(f"{directory}: no such folder; check the path")
    checkpoint = read_checkpoint(directory) if directory.is_dir() and any(directory.iterdir()) else None
    name = task or (checkpoint and _task_of(checkpoint))
    if checkpoint is None or name is None:
        raise UserError(
            f"{directory}: holds no {TASK_FILE}, so no fine-tuned model; make one with 'keras-bert finetune'"
        )
    spec = get_task(name).spec_of(checkpoint, directory)
    if task is None:
        log.warning("%s: holds no %s; taken for %s of %s", directory, TASK_FILE, name, _listed(spec.columns))
    return spec


def _task_of(checkpoint: Checkpoint) -> str | None:
    if checkpoint.architecture != "BertTextClassifier":
        return TASK_OF_MODEL.get(checkpoint.architecture)
    return TASK_OF_PROBLEM[check_problem_type(checkpoint.problem_type, checkpoint.num_classes)]


def _check(file: AnyPath, spec: Spec) -> None:
    strings = (*spec.columns, *spec.labels)
    if (
        not spec.columns
        or not all(isinstance(value, str) for value in strings)
        or type(spec.max_length) is not int
        or spec.max_length < 1
        or not isinstance(spec.options, dict)
        or not isinstance(spec.header_names, dict)
    ):
        raise UserError(f"{file}: is damaged (columns, labels, max_length or options are not of their kind)")
    if spec.task not in TASKS:
        raise UserError(f"{file}: is of the task {spec.task!r}; known are {', '.join(TASKS)}")


@dataclasses.dataclass(frozen=True)
class Examples:
    """What a task's reader gives: columns of strings, and what is right for each row.

    Args:
        origin: str. Where they come from, for messages.
        raw: mapping. Of each column a string, or a list of strings, per row.
        gold: mapping. Arrays with one entry per row, or a list of numbers per row, as the task's `targets` and `score`
            take them.
        digest: str. Names this very content in a run's settings.
        skipped: mapping, default `{}`. How many bad rows were left out, by reason.
        carried: mapping, default `{}`. Columns that only go along to the answers, an empty string where a row has none.
    """

    origin: str
    raw: Mapping[str, Sequence[Any]]
    gold: Mapping[str, Any]
    digest: str
    skipped: Mapping[str, int] = dataclasses.field(default_factory=dict)
    carried: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(next(iter(self.raw.values())))


@dataclasses.dataclass(frozen=True)
class Features:
    """What a model reads of some rows, and what answers are made with.

    Args:
        inputs: dict. The model's inputs, int32 `(windows, length)` each, the windows of a row one after another.
        windows: int32 `(rows,)` or `None`, default `None`. How many windows each row has; `None` for one each.
        notes: mapping, default `{}`. Tensors that the task's own `targets` and `decode` need.
    """

    inputs: dict[str, Any]
    windows: Any = None
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Of a task that has no options."""


class Task(abc.ABC):
    """One downstream task: its reader, its features, its head, its answers, its metrics. Holds no state.

    `features`, `targets` and `decode` run inside TensorFlow graphs: in the input pipeline, in `predict` and in the
    exported signature alike.
    """

    name: ClassVar[str]
    best_by: ClassVar[tuple[str, str]]  # the metric that picks the best epoch, and "max" or "min"
    model_class: ClassVar[type]
    Options: ClassVar[type] = NoOptions  # a dataclass; its fields become flags of `keras-bert finetune`
    Asking: ClassVar[type] = NoOptions  # the same of `predict` and `export`; they may be others each time
    tunable: ClassVar[bool] = True  # whether `finetune` teaches it
    columns: ClassVar[tuple[str, ...]] = ("text",)  # of a model that does not tell what it was trained on
    list_columns: ClassVar[tuple[str, ...]] = ()  # columns that have a list of strings in each row
    carried: ClassVar[tuple[str, ...]] = ()  # columns that only go along to the answers of `predict`
    windowed: ClassVar[bool] = False  # whether a row that is too long is read in several windows

    @abc.abstractmethod
    def read(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> tuple[Spec, Examples]:
        """Reads labelled rows.

        Args:
            source: a table's path, or columns in memory by name.
            spec: without columns for training data, which then decide columns and labels; else both are required.
            on_bad_row: `"fail"`, or `"skip"` and count.

        Returns: the spec, completed, and the examples.
        """

    @abc.abstractmethod
    def unlabelled(self, source: Any, spec: Spec, on_bad_row: str = "fail") -> Iterator[Mapping[str, Any]]:
        """Yields the rows of a table without labels, for `predict`, in flat memory."""

    def forms(self, spec: Spec) -> tuple[tuple[str, ...], ...]:
        """The sets of columns that the model can be asked by, `spec.columns` first; each becomes a signature."""
        return ((*spec.columns, *self.optional_columns(spec)),)

    def optional_columns(self, spec: Spec) -> tuple[str, ...]:
        """Columns of strings that may be left out, empty then; the exported signature takes them beside the spec's."""
        return ()

    def rows_at_once(self, spec: Spec, model: Any) -> int | None:
        """How many rows of a stream may be answered together, where answers are long; `None` for any number."""
        return None

    def check_columns(self, spec: Spec, raw: Raw) -> None:
        """Raises `UserError` unless these are the columns that the model can be asked about."""
        spec.check_columns(raw)

    def fault(self, row: Mapping[str, Any]) -> BadRow | None:
        """What is wrong with a row that the model is asked about, if anything."""
        return None

    def command(self, init: AnyPath | str) -> str:
        """What teaches the model in the folder `init` this task."""
        return f"keras-bert finetune --task {self.name} --init {init}"

    def spec_of(self, checkpoint: Checkpoint, directory: AnyPath) -> Spec:
        """What a model is for that came without `task.json`, as other people's do.

        Raises:
            UserError: it has no head for this task.
        """
        if checkpoint.architecture != self.model_class.__name__:
            raise UserError(
                f"{directory}: holds a {checkpoint.architecture}, which has no head for {self.name}; make one with "
                f"'{self.command(directory)}'"
            )
        options = {**as_json(self.Options()), **as_json(self.Asking())}
        return Spec(self.name, self.columns, checkpoint.config.max_position_embeddings, options=options)

    @abc.abstractmethod
    def features(self, spec: Spec, tokenizer: Any, raw: Raw, chosen: Any = None) -> Features:
        """What the model reads of some rows, no longer than the longest window needs.

        Args:
            spec, tokenizer: of the model.
            raw: string tensors `(rows,)` by column; a column of lists is ragged, `(rows, None)`.
            chosen: int32 `(rows,)`, default `None`. The number of one window of each row, in place of all; training
                draws them one by one. Rows of a task that is not `windowed` have just one.
        """

    @abc.abstractmethod
    def targets(self, spec: Spec, features: Features, gold: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        """Labels and sample weights (or `None`) of the windows, as the model's `fit` takes them.

        `training` tells whether they are to learn from, or to measure with.
        """

    @abc.abstractmethod
    def model_arguments(self, spec: Spec) -> dict[str, Any]:
        """What `model_class` takes beside a backbone."""

    def ask(self, model: Any, inputs: Mapping[str, Any]) -> Any:
        """The model's outputs for some windows."""
        return model(inputs, training=False)

    def objectives(self, spec: Spec, model: Any) -> dict[str, Any]:
        """What the model is trained on: what it declares itself, unless the options say more."""
        return model.objectives

    @abc.abstractmethod
    def decode(self, spec: Spec, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers from the model's outputs; the keys are the outputs of the exported signature, rows come first.

        Lists are padded along their second axis; a number tells how many of a row count.
        """

    def follow_up(self, spec: Spec, model: Any, outputs: Any, features: Features) -> dict[str, Any]:
        """Answers beside those of `decode` for which the model is asked again, as a beam search does."""
        return {}

    def notes(self, spec: Spec, tokenizer: Any, examples: Examples) -> dict[str, Any]:
        """What a run's results tell about its training data."""
        return {}

    def settled(self, spec: Spec, results: Mapping[str, Any]) -> Spec:
        """The spec as a run stores it: options that were left open, decided by `results` of held-out data, if any."""
        return spec

    @abc.abstractmethod
    def score(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> dict[str, Any]:
        """The official metrics by plain names; one that is undefined is `None`."""

    def tunes(self, spec: Spec) -> str:
        """The option, if any, whose value is to be found on the dev data with the best epoch's model; else `""`."""
        return ""

    def tuned(self, spec: Spec, decoded: Mapping[str, Any], gold: Mapping[str, Any]) -> Spec:
        """The spec with the value of that option that is best for these answers; arguments as for `score`."""
        return spec

    def baselines(self, spec: Spec, train: Examples, dev: Examples) -> dict[str, dict[str, Any]]:
        """The metrics on `dev`, by name, of simple answers that are learnt from `train` without a network."""
        return {}

    def answer(self, spec: Spec, row: Mapping[str, Any]) -> dict[str, Any]:
        """One row of decoded outputs as JSON can hold it."""
        return dict(row)

    def gold_of(self, spec: Spec, gold: Mapping[str, Any]) -> Any:
        """What is right for one row as the files write it, of a row of `Examples.gold`; here its only value."""
        (value,) = gold.values()
        return value

    def wrong(self, spec: Spec, line: Mapping[str, Any]) -> WrongAnswer | None:
        """What is wrong with an answer, if anything.

        Args:
            spec: of the model.
            line: a row's columns, its answer, and as `gold` what `gold_of` gave.
        """
        raise UserError(f"`errors`: the task {self.name} has no list of them; leave it out")

    def breakdown(self, spec: Spec, lines: Sequence[Mapping[str, Any]]) -> Breakdown | None:
        """What was taken for what over all lines, each as for `wrong`; `None` where there is no such table."""
        return None


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        UserError: there is none; lists those that there are.

    Example:
        >>> get_task("regression").best_by
        ('pearson', 'max')
    """
    if name not in TASKS:
        raise UserError(f"`task`: {name!r} is unknown; choose one of {', '.join(TASKS)}")
    return importlib.import_module(f"keras_bert_scratch.tasks.{TASKS[name]}").TASK


def options_of(task: str, kind: type, values: Mapping[str, Any]) -> Any:
    """The options object of a task made of `values`.

    Args:
        task: str. The task's name, for errors.
        kind: class. The task's `Options`, or its `Asking`.
        values: mapping. By the names of its fields.

    Raises:
        UserError: there is no such option; lists those that there are.
    """
    known = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            raise UserError(f"`{name}`: is no option of {task}; it has {', '.join(known) or 'none'}")
    return kind(**values)


def as_json(options: Any) -> dict[str, Any]:
    """The fields of an options object as JSON gives them back, tuples as lists."""
    return json.loads(json.dumps(dataclasses.asdict(options)))


def _listed(names: Any) -> str:
    return " and ".join(f"'{name}'" for name in names) or "nothing"
