"""GLUE's files: which tasks a folder holds, and the column names and labels of each file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX, tfds_split
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.named_table import NamedTable
from keras_bert_scratch.tasks.data.table_formats import opened_table, table_ending
from keras_bert_scratch.tasks.data.texts import Source
from keras_bert_scratch.tasks.glue.catalogue import GLUE, GlueTask, bare
from keras_bert_scratch.tasks.glue.held_out import split_by_ids

# Names of the index column in test files; the index goes into the file for the server.
INDEX = ("index", "idx", "id")


@dataclasses.dataclass(frozen=True)
class GlueFiles:
    """The tables of one task.

    Args:
        train: table or None. `None` for a task that the model of another task answers.
        dev: mapping. From set name to the labelled table for evaluation.
        test: mapping. From set name to the unlabelled table; sets without one are absent.
    """

    train: Source | None
    dev: Mapping[str, Source]
    test: Mapping[str, NamedTable]


def tasks_in(data: AnyPath | str) -> dict[str, str]:
    """Maps the name of each GLUE task in `data` to its location: a folder, or an entry such as `tfds:glue/sst2`.

    Args:
        data: path of a folder with one folder per task, named as in GLUE (case, blanks, `-` and `_` are ignored); or
            `tfds:glue`, which has all tasks.

    Raises:
        UserError: there is no such folder.
    """
    if str(data).startswith(TFDS_PREFIX):
        return {task.name: f"{data}/{task.tfds}" for task in GLUE.values()}
    folder = path_of(data)
    if not folder.exists():
        raise UserError(
            f"{folder}: no such folder; `data` must be the folder of GLUE's tasks, with files such as CoLA/train.tsv"
        )
    if not folder.is_dir():
        raise UserError(
            f"{folder}: is a file; `data` must be the folder of GLUE's tasks, with files such as CoLA/train.tsv"
        )
    folders = {bare(entry.name): str(entry) for entry in sorted(folder.iterdir()) if entry.is_dir()}
    found = {}
    for task in GLUE.values():
        own = next((folders[bare(name)] for name in (task.name, *task.folders) if bare(name) in folders), None)
        if own is None and task.answered_by and _file(folder, (task.name,)):
            own = str(folder)  # the server distributes AX.tsv without a folder
        if own is not None:
            found[task.name] = own
    return found


def files_of(task: GlueTask, place: str, on_bad_row: str = "fail") -> GlueFiles:
    """The tables of `task` at the location that `tasks_in` returned; only the header of each file is read.

    Raises:
        UserError: a file is missing or lacks a column; the message names the file.
    """
    if place.startswith(TFDS_PREFIX):
        return _of_tensorflow_datasets(task, place)
    test = {one.name: path for one in task.sets if (path := _file(path_of(place), one.test))}
    tests = {name: _table(path, task, labelled=False) for name, path in test.items()}
    if task.answered_by:
        if not tests:
            raise _missing(task, place, task.sets[0].test)
        return GlueFiles(None, {}, tests)
    train = _table(_required(task, place, task.train), task)
    ids = task.held_out_ids and _file(path_of(place), (task.held_out_ids,))
    if ids and not _file(path_of(place), (task.sets[0].dev,)):
        train, dev = split_by_ids(train, ids, on_bad_row)
        return GlueFiles(train, {task.sets[0].name: dev}, tests)
    dev = {one.name: _table(_required(task, place, (one.dev,)), task) for one in task.sets}
    return GlueFiles(train, dev, tests)


def _of_tensorflow_datasets(task: GlueTask, place: str) -> GlueFiles:
    """The tables in TensorFlow Datasets; splits have the names of GLUE's files, with `validation` instead of `dev`."""

    def split(name: str) -> str:
        return f"{place}:{name.replace('dev', 'validation')}"

    names = {one.name: next(name for name in one.test if name.startswith("test")) for one in task.sets}
    builder, _ = tfds_split(split(task.sets[0].dev or names[task.sets[0].name]))
    there = {name: test for name, test in names.items() if test in builder.info.splits}
    tests = {name: _table(split(test), task, labelled=False) for name, test in there.items()}
    if task.answered_by:
        return GlueFiles(None, {}, tests)
    dev = {one.name: _table(split(one.dev), task) for one in task.sets}
    return GlueFiles(_table(split(task.train[0]), task), dev, tests)


def _table(path: str, task: GlueTask, labelled: bool = True) -> NamedTable:
    """The file with its names for the task's columns."""
    names = _column_names(path)
    known = {one for wanted in task.columns.values() for one in wanted}
    unnamed = task.unnamed if len(names) == len(task.unnamed) and known.isdisjoint(names) else ()
    columns = {role: wanted for role, wanted in task.columns.items() if role != "label"}
    columns |= {"label": task.columns["label"]} if labelled else {"index": INDEX}
    by_plain_name = {name.strip().casefold(): name for name in unnamed or names}
    found = {}
    for role, wanted in columns.items():
        name = next((by_plain_name[one.casefold()] for one in wanted if one.casefold() in by_plain_name), None)
        if name is None and role != "index":
            raise UserError(
                f"{path}: has no column {' or '.join(map(repr, wanted))}, but {', '.join(map(repr, names))}; rename "
                f"the right one as in GLUE's {task.name}"
            )
        if name is not None:
            found[role] = name
    return NamedTable(path, found, unnamed, task.labels if labelled else {})


def _column_names(path: str) -> list[str]:
    """The column names in the header, or of the first good row if each row has its own names."""
    with opened_table(path) as table:
        if table.names is not None:
            return table.names
        return next((list(record) for _, record in table.records if not isinstance(record, BadRow)), [])


def _file(folder: AnyPath, names: Sequence[str]) -> str:
    """The path of the first existing table among `names` (given without ending); `.tsv` is preferred; `""` if none."""
    if not folder.is_dir():
        return ""
    tables = sorted(_tables(folder), key=lambda entry: (not entry[1].lower().startswith(".tsv"), entry))
    return next((str(folder / (name + ending)) for name in names for own, ending in tables if own == name), "")


def _tables(folder: AnyPath) -> Iterator[tuple[str, str]]:
    """Yields the names of the folder's tables, each split from its ending (including one of a compression)."""
    for entry in folder.iterdir():
        if ending := table_ending(entry.name):
            start = entry.name.lower().rindex(ending)
            yield entry.name[:start], entry.name[start:]


def _required(task: GlueTask, place: str, names: Sequence[str]) -> str:
    if path := _file(path_of(place), names):
        return path
    raise _missing(task, place, names)


def _missing(task: GlueTask, place: str, names: Sequence[str]) -> UserError:
    # Only Microsoft's original files end in .txt.
    wanted = " or ".join(f"{name}.txt" if name.startswith("msr_") else f"{name}.tsv" for name in names)
    if task.held_out_ids and names == (task.sets[0].dev,):
        wanted = f"{wanted} or {task.held_out_ids}.tsv, which lists the held-out pairs"
    return UserError(f"{place}: has no {wanted}; copy it from GLUE's {task.name}, or leave the task out")
