"""Files that change together: whenever the writer dies, all of them are old or all are new."""

import errno
import os
from pathlib import Path

import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.file_set import COMMITTED, STAGED, current_file, replaced_together

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


def test_blocks_can_be_nested():
    with replaced_together("model") as outer:
        (outer / "task.json").write_text("task")
        with replaced_together(outer) as inner:
            (inner / "config.json").write_text("config")
        assert not current_file("model", "config.json").exists()
    assert {file.name for file in Path("model").iterdir()} == {"task.json", "config.json"}


def test_reading_changes_nothing_on_the_disk(die_at):
    """An unfinished folder can be read where nothing can be written."""
    write_all("old")
    Path("model", COMMITTED).mkdir()
    Path("model", COMMITTED, "weights").write_text("new")
    die_at(0)
    assert current_file("model", "weights").read_text() == "new"
    assert current_file("model", "vocab.txt").read_text() == "old"


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
