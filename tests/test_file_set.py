"""Files that change together: whenever the writer dies, all of them are old or all are new."""

import contextlib
import errno
import json
import os
import threading
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch import atomic, file_set, lock
from keras_bert_scratch.address import Address
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.file_set import COMMITTED, STAGED, current_file, read_current, replaced_together
from keras_bert_scratch.tasks.spec import Spec

NAMES = ("config.json", "vocab.txt", "weights")


def write_all(content: str) -> None:
    with replaced_together("model") as staged:
        for name in NAMES:
            (staged / name).write_text(content)


def read_all() -> set[str]:
    return {current_file("model", name).read_text() for name in NAMES}


def test_all_old_or_all_new_at_every_step(die_at):
    write_all("old")
    Path("model/run.json").write_text("other")
    seen = []
    for step in range(100):
        die_at(step)
        try:
            write_all("new")
        except die_at.Killed:
            die_at(None)
            (content,) = read_all()  # all files have the same content
            seen.append(content)
            assert Path("model/run.json").read_text() == "other"
            write_all("old")  # the next writer can write the folder
            assert read_all() == {"old"}
        else:
            die_at(None)
            break
    assert seen == sorted(seen, reverse=True)  # old, old, ..., new, new
    assert {"old", "new"} == set(seen)
    assert read_all() == {"new"}
    assert {file.name for file in Path("model").iterdir()} == {*NAMES, "run.json"}


def test_nothing_changes_when_the_block_raises():
    write_all("old")
    with pytest.raises(RuntimeError, match="no"), replaced_together("model") as staged:
        (staged / "config.json").write_text("new")
        raise RuntimeError("no")
    assert read_all() == {"old"}
    assert not Path("model", STAGED).exists()


@pytest.mark.parametrize("first_ends", [True, False])
def test_two_writers_do_not_mix_their_files(monkeypatch, first_ends):
    monkeypatch.setattr(lock, "WAIT_SECONDS", 3.0 if first_ends else 0.2)
    has_begun, may_end = threading.Event(), threading.Event()

    def write_slowly():
        with replaced_together("model") as staged:
            (staged / "config.json").write_text("first")
            has_begun.set()
            may_end.wait(10)
            (staged / "weights").write_text("first")

    first = threading.Thread(target=write_slowly)
    first.start()
    has_begun.wait(10)
    if first_ends:
        threading.Timer(0.1, may_end.set).start()
        write_all("second")
    else:
        with pytest.raises(kbs.UserError, match=rf"^model: is being written by process {os.getpid()} on "):
            write_all("second")
        may_end.set()
    first.join()
    content = {file.name: file.read_text() for file in Path("model").iterdir()}
    assert content == (dict.fromkeys(NAMES, "second") if first_ends else {"config.json": "first", "weights": "first"})


def test_blocks_can_be_nested():
    with replaced_together("model") as outer:
        (outer / "task.json").write_text("task")
        with replaced_together(outer) as inner:
            (inner / "config.json").write_text("config")
        assert not current_file("model", "config.json").exists()
    assert {file.name for file in Path("model").iterdir()} == {"task.json", "config.json"}


def test_files_that_the_block_does_not_write_are_removed():
    for nested in (False, True):
        write_all("old")
        with contextlib.ExitStack() as stack:
            outer = stack.enter_context(replaced_together("model")) if nested else "model"
            staged = stack.enter_context(replaced_together(outer, without=("vocab.txt", "weights")))
            (staged / "weights").write_text("new")
            assert read_all() == {"old"}
        assert {file.name for file in Path("model").iterdir()} == {"config.json", "weights"}
        assert Path("model/weights").read_text() == "new"


def test_a_block_around_may_write_what_the_inner_one_removes():
    with replaced_together("model") as outer:
        with replaced_together(outer, without=("weights",)):
            pass
        (outer / "weights").write_text("new")
    assert [file.name for file in Path("model").iterdir()] == ["weights"]


def test_removed_with_the_others_at_every_step(die_at):
    def replace() -> None:
        with replaced_together("model", without=("weights",)) as staged:
            (staged / "config.json").write_text("new")
            (staged / "vocab.txt").write_text("new")

    def found() -> list[str | None]:
        files = [current_file("model", name) for name in NAMES]
        return [file.read_text() if file.exists() else None for file in files]

    seen = []
    for step in range(100):
        write_all("old")
        die_at(step)
        try:
            replace()
        except die_at.Killed:
            die_at(None)
            seen.append(found())
        else:
            die_at(None)
            break
    assert found() == ["new", "new", None]
    assert [content for content in seen if content not in (["old"] * 3, ["new", "new", None])] == []
    assert ["old"] * 3 in seen
    assert ["new", "new", None] in seen


@pytest.mark.parametrize("nested", [False, True])
def test_files_are_removed_at_an_address(nested):
    address = Address("ram://removed")
    for name in NAMES:
        (address / name).write_bytes(b"old")
    with contextlib.ExitStack() as stack:
        outer = stack.enter_context(replaced_together(address)) if nested else address
        staged = stack.enter_context(replaced_together(outer, without=("vocab.txt", "absent")))
        (staged / "weights").write_text("new")
    assert sorted(file.name for file in address.iterdir()) == ["config.json", "weights"]


def test_reading_changes_nothing_on_the_disk(die_at):
    """An unfinished folder can be read where nothing can be written."""
    write_all("old")
    Path("model", COMMITTED).mkdir()
    Path("model", COMMITTED, "weights").write_text("new")
    die_at(0)
    assert current_file("model", "weights").read_text() == "new"
    assert current_file("model", "vocab.txt").read_text() == "old"


@pytest.fixture
def moves_at_once(monkeypatch):
    """A writer moves each committed file as soon as a reader has found it, before the reader opens it."""
    moved = []

    def found(directory, name):
        file = current_file(directory, name)
        if COMMITTED in file.parts:
            file.replace(Path(directory, name))
            moved.append(name)
        return file

    monkeypatch.setattr(file_set, "current_file", found)
    return moved


def test_a_file_that_is_moved_before_it_is_opened_is_read_at_its_place(moves_at_once):
    write_all("old")
    Path("model", COMMITTED).mkdir()
    Path("model", COMMITTED, "weights").write_text("new")
    Path("model", COMMITTED, "card").write_text("new")
    assert {read_current("model", name, Path.read_text) for name in ("weights", "card")} == {"new"}
    assert read_current("model", "vocab.txt", Path.read_text) == "old"
    assert read_current("model", "task.json", Path.read_text) is None
    assert moves_at_once == ["weights", "card"]


def test_a_file_that_is_moved_while_it_is_opened_is_read_at_its_place():
    Path("model", COMMITTED).mkdir(parents=True)
    Path("model", COMMITTED, "weights").write_text("new")

    def read(file):
        if COMMITTED in file.parts:
            file.replace("model/weights")
        return file.read_text()

    assert read_current("model", "weights", read) == "new"


@pytest.mark.parametrize("place", ["model", f"model/{COMMITTED}"])
def test_errors_of_a_file_that_stays_pass(place):
    Path(place).mkdir(parents=True)
    Path(place, "config.json").write_text("{")
    with pytest.raises(kbs.UserError, match=r"config\.json: is not readable JSON"):
        read_current("model", "config.json", atomic.read_json)
    assert read_current(place, "other", atomic.read_json) is None


def test_a_model_is_read_while_a_writer_moves_its_files(moves_at_once, small, tokenizer):
    model = kbs.BertTextClassifier(kbs.BertBackbone(small), num_classes=2, label_names=("no", "yes"))
    model.save_pretrained("model")
    Spec("classification", ("text",), max_length=8, labels=("no", "yes")).save("model")
    Path("model", COMMITTED).mkdir()
    names = ["config.json", "model.weights.h5", "task.json"]
    for name in names:
        Path("model", name).rename(Path("model", COMMITTED, name))
    checkpoint = read_checkpoint("model")
    assert (checkpoint.label_names, json.loads(checkpoint.task)["labels"]) == (("no", "yes"), ["no", "yes"])
    Path("model/task.json").rename(Path("model", COMMITTED, "task.json"))
    assert Spec.load("model").labels == ("no", "yes")
    assert moves_at_once == [*names, "task.json"]


def test_what_is_in_the_way_is_named():
    Path("model").write_text("a file")
    with pytest.raises(kbs.UserError, match="model: a file is in the way"), replaced_together("model"):
        pass


def test_a_read_only_file_system_is_named_and_read(monkeypatch):
    write_all("old")

    def refuse(path, *args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    for name in ("mkdir", "rename", "replace", "rmdir", "unlink", "write_text"):
        monkeypatch.setattr(Path, name, refuse)
    with pytest.raises(kbs.UserError, match=r"^model.*: is on a read-only file system; choose another place"):
        write_all("new")
    assert read_all() == {"old"}


def test_a_file_that_is_to_be_deleted_is_not_read():
    """The writer died before it deleted the file."""
    committed = Path("model") / COMMITTED
    committed.mkdir(parents=True)
    (Path("model") / "task.json").write_text("old")
    (committed / ".removed-task.json").touch()
    assert read_current("model", "task.json", Path.read_text) is None
