import errno
from pathlib import Path

import pytest

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError


@pytest.mark.parametrize("written", [atomic.written_file, atomic.written_folder])
def test_what_fails_half_way_leaves_nothing(written, tmp_path):
    with pytest.raises(RuntimeError), written("target") as place:
        (place / "part" if place.is_dir() else place).write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_stays_when_writing_fails(tmp_path):
    atomic.write_text("target", "old")
    with pytest.raises(RuntimeError), atomic.written_file("target") as place:
        place.write_text("new, but h")
        raise RuntimeError
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


def test_a_folder_appears_whole():
    with atomic.written_folder("target") as place:
        (place / "part").write_text("all")
        assert not Path("target").exists()
    assert Path("target/part").read_text() == "all"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), RuntimeError("hdf5: No space left on device")],
    ids=["system", "library"],
)
def test_a_full_disk_is_named(error):
    with pytest.raises(UserError, match=r"target: the disk is full; free"), atomic.written_file("target"):
        raise error


def test_a_file_in_the_way_of_a_folder_is_named():
    Path("a").write_text("")
    with pytest.raises(UserError, match=r"a/b: .*in the way"):
        atomic.write_text("a/b", "text")
