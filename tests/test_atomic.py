"""Files and folders are complete or absent, and when a disk refuses a file, the error names that file."""

import contextlib
import errno
import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError


@pytest.mark.parametrize("write", [atomic.write, atomic.write_folder])
def test_what_fails_half_way_leaves_nothing(write, tmp_path):
    with pytest.raises(RuntimeError), write("target") as temporary:
        (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_when_writing_fails(tmp_path):
    atomic.write_text("target", "old")
    with pytest.raises(RuntimeError), atomic.write("target") as temporary:
        temporary.write_text("new, but h")
        raise RuntimeError
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["old"]


def test_a_folder_appears_whole(tmp_path):
    with atomic.write_folder("target") as temporary:
        (temporary / "part").write_text("all")
        assert not Path("target").exists()
    assert Path("target/part").read_text() == "all"
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


def test_a_folder_is_continued_by_the_same_plan_alone(tmp_path):
    for plan, found in (({"seed": 1}, []), ({"seed": 1}, ["part"]), ({"seed": 2}, [])):
        with pytest.raises(RuntimeError), atomic.continue_folder("target", plan) as temporary:
            assert [entry.name for entry in temporary.iterdir() if entry.name != atomic.PLAN_FILE] == found
            (temporary / "part").write_text("done")
            raise RuntimeError
    with atomic.continue_folder("target", {"seed": 2}):
        pass
    assert [entry.name for entry in Path("target").iterdir()] == ["part"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


def test_an_error_at_the_end_loses_nothing(monkeypatch, tmp_path):
    full = [OSError(errno.ENOSPC, "no space")]

    def synced(path, to_disk=atomic.to_disk):
        if full and path.name == "part":
            raise full.pop()
        to_disk(path)

    monkeypatch.setattr(atomic, "to_disk", synced)
    for there in ([], ["part", "sub/step"]):
        with contextlib.suppress(UserError), atomic.continue_folder("target", {"seed": 1}) as temporary:
            assert all((temporary / name).read_text() == "done" for name in there)
            (temporary / "sub").mkdir(exist_ok=True)
            for name in ("part", "sub/step"):
                (temporary / name).write_text("done")
        assert Path("target").exists() == bool(there)
    assert [entry.name for entry in Path("target").iterdir()] == ["part"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["target"]


def test_all_is_on_the_disk_before_it_gets_its_name(monkeypatch):
    done = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor):
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(self, path):
        done.append(f"-> {Path(path).name}")
        return replace(self, path)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    with atomic.write_folder("target") as temporary:
        (temporary / "inner").mkdir()
        (temporary / "inner" / "part").write_text("all")
    assert done[:-1] == ["inner", "part", ".partial-target", "-> target"]
    done.clear()
    atomic.write_text("file", "text")
    assert done[:-1] == [".partial-file", "-> file"]


@pytest.mark.parametrize(
    ("there", "besides", "free"),
    [
        ([], (), True),
        (["target/"], (), True),
        (["target"], (), False),
        (["target/", "target/.lock"], (), False),
        (["target/", "target/.lock"], (".lock",), True),
        (["target/", "target/.lock", "target/x"], (".lock",), False),
    ],
)
def test_what_is_free(there, besides, free):
    for name in there:
        Path(name).mkdir() if name.endswith("/") else Path(name).write_text("")
    if free:
        atomic.check_is_free("target", besides)
    else:
        with pytest.raises(UserError, match=r"^target: exists already; delete it or choose another place$"):
            atomic.check_is_free("target", besides)


@pytest.mark.parametrize(
    ("content", "named"),
    [("{", "is not readable JSON"), ("[]", "should hold a JSON object"), (None, "is not readable JSON")],
)
def test_a_file_of_something_else_than_a_json_object_is_named(content, named):
    if content is not None:
        Path("a.json").write_text(content)
    with pytest.raises(UserError, match=rf"a\.json: {named}.*; make it anew$"):
        atomic.read_json("a.json", "make it anew")


FULL = "the disk is full; free some space"
ERRORS = [
    # error while `target` is written, free bytes on its disk, what the reported error says
    (OSError(errno.ENOSPC, "No space left on device"), 0, f"^target: {FULL}"),
    (OSError(errno.ENOSPC, "No space left on device"), 1 << 30, r"^a disk is full, but not that of target; check"),
    (OSError(errno.ENOSPC, "No space left on device", "/var/tmp/x"), 0, f"^/var/tmp/x: {FULL}"),
    (OSError(errno.ENOSPC, "No space left on device", ".partial-target"), 1 << 30, f"^target: {FULL}"),
    (RuntimeError("hdf5: No space left on device"), 0, f"^target: {FULL}"),
    (
        RuntimeError("8: .partial-target/variables; No space left on device"),
        1 << 30,
        f"^target: {FULL}",
    ),
    (RuntimeError("7: .partial-target/variables; Permission denied"), 1 << 30, "^target: permission is denied"),
    (UserError("tfds:x: cannot be prepared (No space left on device)"), 0, r"^tfds:x: cannot be prepared"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), 1 << 30, "^target: the disk quota is used up"),
    (OSError(errno.EROFS, "Read-only file system", ".partial-target"), 0, "^target: is on a read-only file system"),
    (PermissionError(errno.EACCES, "Permission denied", "text.txt"), 0, r"^text\.txt: permission is denied"),
    (PermissionError(errno.EACCES, "Permission denied", ".partial-target"), 0, "^target: permission is denied"),
    (OSError(errno.ENAMETOOLONG, "File name too long", ".partial-target"), 0, "^target: its name is too long"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", "target"), 0, "^target: a folder is in the way"),
    (OSError(errno.EMFILE, "Too many open files", "text.txt"), 0, r"^text\.txt: too many files are open; raise"),
    (OSError(errno.EIO, "Input/output error"), 0, "^target: its disk has an error"),
]


@pytest.mark.parametrize("write", [atomic.write, atomic.write_folder])
@pytest.mark.parametrize(("error", "left", "saying"), ERRORS, ids=[saying.strip("^")[:40] for _, _, saying in ERRORS])
def test_what_a_disk_refuses_is_said_of_the_file_it_refused(write, error, left, saying, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=left))
    with pytest.raises(UserError, match=saying), write("target"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory", "text.txt"),
        FileExistsError(errno.EEXIST, "File exists", "elsewhere"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", ".partial-target"),
        ValueError("of another kind"),
        RuntimeError("gs://records/a: Permission denied"),
    ],
)
def test_what_is_no_refusal_passes(error):
    with pytest.raises(type(error)) as raised, atomic.write("target"):
        raise error
    assert raised.value is error


@pytest.mark.parametrize("write", [atomic.write_folder, lambda path: atomic.continue_folder(path, {})])
@pytest.mark.parametrize(
    ("path", "saying"),
    [
        (".", r"^\.: is the current folder, which cannot be replaced; give the name of a new folder"),
        (Path.cwd, "is the current folder, which cannot be replaced; give"),
        ("/", "^/: exists already"),
        ("..", r"^\.\.: exists already"),
    ],
)
def test_the_current_folder_is_not_replaced(write, path, saying):
    """The shell and this process would stay in the folder that was replaced, and see nothing of the new one."""
    with pytest.raises(UserError, match=saying), write(path() if callable(path) else path):
        pytest.fail("was written")


@pytest.mark.parametrize("path", [".", "/", ".."])
def test_a_folder_in_the_way_of_a_file_is_named(path):
    with pytest.raises(UserError, match=rf"^{re.escape(path)}: a folder is in the way of a file"):
        atomic.write_text(path, "text")


def test_a_file_in_the_way_of_a_folder_is_named():
    Path("a").write_text("")
    with pytest.raises(UserError, match=r"^a: a file is in the way"):
        atomic.write_text("a/b", "text")
