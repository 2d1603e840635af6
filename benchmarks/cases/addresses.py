"""Section 3: records and runs at an address that `tf.io.gfile` opens; `ram://` stands for `gs://`."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import tensorflow as tf

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert
from benchmarks.cases.small import HOW, ROWS, config, corpus, home, records, tokenizer, vocab
from keras_bert_scratch.training.callbacks import CheckpointSaver

reading, running = Group("3 records at an address"), Group("3 runs at an address")
GROUPS = (reading, running)

numbers = itertools.count()


def there() -> str:
    """Returns an address where nothing exists yet."""
    return f"ram://cases/{next(numbers)}/there"


def written_there(path: str) -> dict[str, bytes]:
    """Returns the files of a folder at an address."""
    names = [name for name in tf.io.gfile.listdir(path) if not tf.io.gfile.isdir(f"{path}/{name}")]
    return {name: tf.io.gfile.GFile(f"{path}/{name}", "rb").read() for name in names}


def batches(data: Any, step: int) -> Iterator[Any]:
    """Returns two batches, from a step on."""
    return data.batches(4, 32, first_step=step).take(2).as_numpy_iterator()


@reading.right("records built there have the bytes of those built here")
def _() -> str:
    place = there()
    kbs.build_records([corpus()], tokenizer(), place, num_shards=3)
    found = written_there(place)
    assert found == {file.name: file.read_bytes() for file in records().iterdir() if file.is_file()}
    return ", ".join(sorted(found))


@reading.right("keras-bert tfrecords there, keras-bert inspect and pretrain from there")
def _() -> None:
    place = there()
    keras_bert("tfrecords", corpus(), "--vocab", vocab(), "--out", place)
    assert "documents, uncased" in keras_bert("inspect", place)
    argv = ("--preset", "bert-l2-h128", "--steps", "1", "--batch", "2", "--length", "16", "--out", "run")
    keras_bert("pretrain", place, *argv)
    assert json.loads(Path("run/run.json").read_text())["status"] == "finished"


for _step in (0, 1000):

    @reading.right(f"batches of records there from step {_step} on are those of records here", _step)
    def _(step: int) -> None:
        place = there()
        kbs.build_records([corpus()], tokenizer(), place, num_shards=3)
        found, expected = (batches(kbs.open_records(folder), step) for folder in (place, records()))
        for one, other in zip(found, expected, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, one, other)


@reading.right("a corpus there is read")
def _() -> None:
    place = f"{there()}/text.txt"
    tf.io.gfile.makedirs(place.rpartition("/")[0])
    with tf.io.gfile.GFile(place, "w") as file:
        file.write(corpus().read_text())
    kbs.build_records(place, tokenizer(), "records", num_shards=3)
    first = next(batches(kbs.PretrainingRecords("records"), 0))
    tf.nest.map_structure(np.testing.assert_array_equal, first, next(batches(kbs.PretrainingRecords(records()), 0)))


@reading.right("a table there is read")
def _() -> None:
    place = f"{there()}/t.csv"
    tf.io.gfile.makedirs(place.rpartition("/")[0])
    with tf.io.gfile.GFile(place, "w") as file:
        file.write("text,label\na,x\nb,y\n")
    assert len(kbs.TaskData.read("classification", place, tokenizer())) == 2


@reading.clear("an address that nothing opens", "quux://bucket/records", "TensorFlow cannot open quux://")
def _() -> None:
    kbs.open_records("quux://bucket/records", tokenizer())


@reading.clear("an address where nothing is", "ram://cases/none", "contains no")
def _() -> None:
    kbs.open_records("ram://cases/none", tokenizer())


STEPS = kbs.TrainingOptions(steps=4, learning_rate=1e-2)


def pretrained(out: Any) -> dict[str, Any]:
    """Returns the results of a small run."""
    data = kbs.PretrainingRecords(records())
    options = kbs.RunOptions(save_seconds=0)
    return kbs.pretrain(data, config(), out, STEPS, 4, 16, held_out=data, options=options).results


@functools.cache
def pretrained_here() -> dict[str, Any]:
    """Returns the results of the same run on the local disk."""
    return pretrained(home() / "here")


@running.right("kbs.pretrain with out there has the results of a run here, and nothing is left here")
def _() -> str:
    place = there()
    found = pretrained(place)
    assert not list(Path.cwd().glob("ram*")), list(Path.cwd().iterdir())
    assert {"run.json", "config.json", "model.weights.h5", "vocab.txt"} <= set(written_there(place))
    assert found == pretrained_here()
    return ", ".join(sorted(written_there(place)))


@running.right("an interrupted run there is continued, to the weights of one that was not")
def _() -> None:
    kept, seen = CheckpointSaver.on_train_batch_end, itertools.count(1)

    def pressed(self: Any, *args: Any, **kwargs: Any) -> None:
        kept(self, *args, **kwargs)
        if next(seen) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    place = there()
    with mock.patch.object(CheckpointSaver, "on_train_batch_end", pressed), contextlib.suppress(KeyboardInterrupt):
        pretrained(place)
    assert json.loads(written_there(place)["run.json"])["status"] == "running"
    results = pretrained(place)
    assert [start["step"] > 0 for start in json.loads(written_there(place)["run.json"])["starts"]] == [False, True]
    assert results == pretrained_here()


@running.right("keras-bert pretrain, evaluate and inspect of a run there")
def _() -> None:
    place = there()
    argv = ("--preset", "bert-l2-h128", "--steps", "1", "--batch", "2", "--length", "16", "--out", place)
    keras_bert("pretrain", records(), "--eval", records(), *argv)
    assert not list(Path.cwd().glob("ram*")), list(Path.cwd().iterdir())
    assert "masked lm accuracy" in keras_bert("evaluate", place, "--data", records())
    assert "finished" in keras_bert("inspect", place)


@running.right("kbs.finetune from a model there into a run there, evaluate and predict from there")
def _() -> None:
    model, run = there(), there()
    kbs.BertPretrainer(kbs.BertBackbone(config())).save_pretrained(model, tokenizer())
    kbs.finetune("classification", model, ROWS, run, dev=ROWS, how=HOW)
    assert not list(Path.cwd().glob("ram*")), list(Path.cwd().iterdir())
    expected = json.loads(written_there(run)["run.json"])["results"]["dev"]
    assert kbs.evaluate(run, ROWS) == expected
    assert len(kbs.predict(run, {"text": ["the heron"]})) == 1


@running.right("export of a run there to there")
def _() -> None:
    run, out = there(), there()
    kbs.finetune("classification", config(), ROWS, run, how=HOW, tokenizer=tokenizer())
    keras_bert("export", run, "--out", out)
    assert tf.io.gfile.exists(f"{out}/saved_model.pb")
    assert "\t" in keras_bert("predict", out, "the heron")
