"""Section 3: read-only disks, full disks, damaged files, and model folders that are overwritten."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import keras_bert_scratch as kbs
from benchmarks.cases.case import Group, keras_bert
from benchmarks.cases.small import (
    ROWS,
    classifier,
    config,
    corpus,
    disk,
    make_read_only,
    records,
    tokenizer,
    tuned,
    vocab,
)
from keras_bert_scratch.errors import writing_to
from keras_bert_scratch.training.training_state import newest_checkpoint, save_checkpoint

read_only, full, damage, whole = (
    Group("3 read-only disk"),
    Group("3 full disk"),
    Group("3 damage"),
    Group("3 overwriting"),
)
GROUPS = (read_only, full, damage, whole)

SMALL = ("--preset", "bert-l2-h128", "--batch", "2", "--length", "16")


def table() -> Path:
    """Writes a table to fine-tune on."""
    Path("t.csv").write_text("text,label\na,bird\nb,beast\n")
    return Path("t.csv")


WRITING: dict[str, Callable[[Path], tuple[Any, ...]]] = {
    "vocab": lambda out: (corpus(), "--size", "150", "--out", out),
    "tfrecords": lambda out: (corpus(), "--vocab", vocab(), "--out", out),
    "pretrain": lambda out: (records(), *SMALL, "--steps", "1", "--out", out),
    "finetune": lambda out: ("--train", table(), "--vocab", vocab(), *SMALL, "--out", out),
    "export": lambda out: (tuned(), "--out", out),
    "convert": lambda out: (tuned(), out, "--to", "huggingface"),
    "predict": lambda out: (tuned(), "--data", table(), "--out", f"{out}.jsonl"),
    "demo": lambda out: ("--minutes", "1", "--out", out),
}
for _verb, _argv in WRITING.items():

    @read_only.clear(f"keras-bert {_verb} onto it", "/disk/out", "read-only file system", "choose another place")
    def _(verb: str = _verb, argv: Callable[[Path], tuple[Any, ...]] = _argv) -> str:
        with disk(600) as place:
            make_read_only(place)
            return keras_bert(verb, *argv(place / "out"))


@read_only.clear("save_pretrained onto it", "/disk/out", "read-only file system")
def _() -> None:
    with disk(600) as place:
        make_read_only(place)
        classifier().save_pretrained(place / "out")


@read_only.right("a run, its evaluation, its answers and records that lie on it are read")
def _() -> None:
    with disk(4000) as place:
        run = shutil.copytree(tuned(), place / "run")
        there = shutil.copytree(records(), place / "records")
        make_read_only(place)
        kbs.evaluate(run, ROWS)
        keras_bert("predict", run, "the heron")
        keras_bert("inspect", run)
        next(iter(kbs.PretrainingRecords(there).batches(2, 16, first_step=1000)))


def filled(place: Path) -> None:
    """Fills the disk to the last byte."""
    with mock.patch.object(sys, "unraisablehook"), (place / "ballast").open("ab", buffering=0) as file:
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            return


FILLING: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "pretrain": ("/disk/out", lambda out: keras_bert("pretrain", *WRITING["pretrain"](out))),
    "export": ("/disk/out", lambda out: keras_bert("export", *WRITING["export"](out))),
    "convert": ("out", lambda out: keras_bert("convert", *WRITING["convert"](out))),
    "vocab": ("/disk/out", lambda out: keras_bert("vocab", *WRITING["vocab"](out))),
    "tfrecords": ("out", lambda out: keras_bert("tfrecords", *WRITING["tfrecords"](out))),
    "predict": ("/disk/out.jsonl", lambda out: keras_bert("predict", *WRITING["predict"](out))),
}
for _verb, (_file, _run) in FILLING.items():

    @full.clear(f"keras-bert {_verb} onto it", _file, "the disk is full", "free some space")
    def _(verb: str = _verb, run: Callable[[Path], Any] = _run) -> Any:
        with disk(100) as place:
            if verb in ("vocab", "tfrecords", "predict", "convert"):  # these write less
                filled(place)
            try:
                return run(place / "out")
            finally:
                left = {entry.name for entry in place.iterdir()} - {"ballast", "out"}
                assert not left, left


@full.clear(
    "a state that has no room is an error, and the states before stay whole", "step-00000003", "the disk is full"
)
def _() -> None:
    small, large = (classifier(vocab_size=size) for size in (200, 20_000))
    for model in (small, large):
        model.compile(kbs.BertAdamW())
        model.optimizer.build(model.trainable_variables)
    with disk(1000) as place:
        for step in (1, 2):
            small.optimizer.iterations.assign(step)
            save_checkpoint(place / "run", small)
        large.optimizer.iterations.assign(3)
        try:
            save_checkpoint(place / "run", large)
        finally:
            assert newest_checkpoint(place / "run", remove_damaged=False) == 2


@full.clear("the cache has no space, not the output: the cache is named", "/disk/", "the disk is full")
def _() -> None:
    with disk(100) as place:
        filled(place)
        with mock.patch.dict(os.environ, KERAS_BERT_CACHE=str(place / "cache")):
            kbs.build_records([corpus()], tokenizer(), "ram://cases/no-space")


@full.clear("the folder of temporary files has no space, not the output: it is not blamed", "disk is full", "temporary")
def _() -> None:
    """As reported by a library that names no file."""
    with writing_to("out"):
        raise RuntimeError("No space left on device")


def exported() -> Path:
    """Exports a SavedModel of ours."""
    kbs.export_saved_model(kbs.FineTuned.load(tuned()), "saved")
    return Path("saved")


@damage.right("inspect of our SavedModel")
def _() -> str:
    shown = keras_bert("inspect", exported())
    assert "SavedModel" in shown
    return shown


for _file, _cut in (
    ("saved_model.pb", 0.5),
    ("variables/variables.index", 0.5),
    ("variables/variables.data-00000-of-00001", 0.5),
):

    @damage.clear(f"inspect of a SavedModel whose {_file} is cut off", "saved", "damaged")
    def _(file: str = _file, cut: float = _cut) -> str:
        place = exported() / file
        place.write_bytes(place.read_bytes()[: int(cut * place.stat().st_size)])
        return keras_bert("inspect", "saved")

    @damage.clear(f"predict by a SavedModel whose {_file} is cut off", "saved", "export it again")
    def _(file: str = _file, cut: float = _cut) -> str:
        place = exported() / file
        place.write_bytes(place.read_bytes()[: int(cut * place.stat().st_size)])
        return keras_bert("predict", "saved", "the heron")


KILLS = """
import itertools, json, os, shutil, signal, sys
from pathlib import Path
import numpy as np
from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.formats import read_checkpoint

EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "shutil.rmtree")
old, new = read_checkpoint("old"), read_checkpoint("new")

def kill_at(number):
    count = itertools.count()
    def hook(event, arguments):
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in EVENTS) and next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)

def is_whole(found, expected):
    return (found.label_names == expected.label_names and found.vocabulary == expected.vocabulary
            and found.weights.keys() == expected.weights.keys()
            and all(np.array_equal(found.weights[name], expected.weights[name]) for name in found.weights))

came = []
for number in itertools.count():
    shutil.rmtree("model", ignore_errors=True)
    shutil.copytree("old", "model")
    child = os.fork()
    if child == 0:
        kill_at(number)
        native.write(new, Path("model"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    try:
        found = read_checkpoint("model")
        came.append("old" if is_whole(found, old) else "new" if is_whole(found, new) else "mixed")
    except Exception as error:
        came.append(f"{type(error).__name__}: {error}")
    if not os.WIFSIGNALED(status):
        break
print(json.dumps(came))
"""


@whole.right("a process is killed (SIGKILL) at each of its steps on the disk: the folder reads as old or as new")
def _() -> str:
    classifier(("old", "older", "oldest")).save_pretrained("old", tokenizer())
    words = kbs.Vocabulary(tuple(reversed(tokenizer().vocabulary.tokens)))
    classifier(("new", "newer", "newest")).save_pretrained("new", kbs.BertTokenizer(words))
    done = subprocess.run([sys.executable, "-c", KILLS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]
    came = json.loads(done.stdout.splitlines()[-1])
    assert set(came) == {"old", "new"}, Counter(came)
    assert came[0] == "old"
    assert came[-1] == "new"
    return f"{len(came) - 1} kills, then none: {dict(Counter(came))}"


@whole.right("every file of a model's folder is flushed to the disk (fsync) before it is there")
def _() -> str:
    flushed: set[int] = set()
    fsync = os.fsync

    def noted(file: Any) -> None:
        flushed.add(os.fstat(file if isinstance(file, int) else file.fileno()).st_ino)
        fsync(file)

    with mock.patch.object(os, "fsync", noted):
        for labels in (("old", "older", "oldest"), ("new", "newer", "newest")):
            classifier(labels).save_pretrained("model", tokenizer())
    files = {file.name: file.stat().st_ino for file in Path("model").iterdir()}
    assert not [name for name, inode in files.items() if inode not in flushed]
    return ", ".join(sorted(files))


@whole.right("files of the user's in the folder stay")
def _() -> None:
    classifier().save_pretrained("model")
    Path("model/notes.txt").write_text("mine")
    classifier(("a", "b")).save_pretrained("model", tokenizer())
    assert Path("model/notes.txt").read_text() == "mine"
    assert tuple(kbs.BertTextClassifier.from_pretrained("model").label_names) == ("a", "b")


@whole.clear("a model with another vocabulary's size into the folder of a larger vocabulary", "tokens", "rows")
def _() -> None:
    classifier().save_pretrained("model", tokenizer())
    kbs.BertBackbone(config(vocab_size=20)).save_pretrained("model")
