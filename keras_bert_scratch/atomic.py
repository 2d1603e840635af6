"""Files and folders that are complete or absent: written to a temporary path on the same disk, then renamed.

Everything is flushed to the disk (`fsync`) before the rename, so that this holds after a power cut as well. Files for
an address such as `gs://bucket/run` are written on this machine and uploaded when they are complete.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError, writing_to
from keras_bert_scratch.filesystem import Address, AnyPath, path_of, path_to_write
from keras_bert_scratch.lock import Lock
from keras_bert_scratch.transfer import folder_for, read_text, upload_file

PLAN_FILE = "plan.json"


def temporary_path(path: Path) -> Path:
    """The path that `path` is written to first: on the same disk, with its suffix (Keras requires `.weights.h5`)."""
    return path.with_name(f".partial-{path.name}")


@contextlib.contextmanager
def write(path: AnyPath | str) -> Iterator[Path]:
    """Yields a temporary path to write a file to; renames it to `path` when the block ends without an error.

    After an error the temporary file is removed, and an existing file at `path` is unchanged.

    Args:
        path: str, Path or Address. Its folder is created if it is missing.

    Raises:
        UserError: the file cannot be written to the disk or the address.

    Example:
        >>> with write("notes.txt") as temporary:
        ...     _ = temporary.write_text("complete or absent")
    """
    path = path_to_write(path)
    if isinstance(path, Address):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder) / path.name
            upload_file(Path(folder) / path.name, path)
        return
    if path.name in ("", ".."):
        raise UserError(f"{path}: a folder is in the way of a file; give the name of a file")
    temporary = temporary_path(path)
    try:
        with writing_to(path, temporary):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            to_disk(temporary)
            temporary.replace(path)
            to_disk(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextlib.contextmanager
def write_folder(path: AnyPath | str) -> Iterator[Path]:
    """Like `write`, for a folder.

    Args:
        path: str, Path or Address. Must not exist yet, or be an empty folder other than the current one.

    Raises:
        UserError: `path` exists already or is the current folder, another process is writing it, or the disk or the
            address cannot be written.
    """
    path = path_to_write(path)
    if isinstance(path, Address):
        check_is_free(path)
        with folder_for(path) as temporary:
            yield temporary
        return
    _check_is_new(path)
    temporary = temporary_path(path)
    with _locked(path):
        try:
            with writing_to(path, temporary):
                shutil.rmtree(temporary, ignore_errors=True)
                temporary.mkdir(parents=True)
                yield temporary
                _publish(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def continue_folder(path: Path | str, plan: dict[str, Any]) -> Iterator[Path]:
    """Yields a temporary folder to fill step by step; renames it to `path` when the block ends without an error.

    After an error or a kill, the files written so far are kept: the next call with the same `plan` yields the folder
    with these files. A call with another plan starts with an empty folder. Subfolders are temporary: they are removed
    when the block ends without an error.

    Args:
        path: str or Path. Must not exist yet, or be an empty folder other than the current one.
        plan: dict. Everything that determines the content of the folder; JSON-serializable.

    Raises:
        UserError: `path` exists already or is the current folder, another process is writing it, or the disk cannot be
            written.
    """
    path = Path(path)
    _check_is_new(path)
    temporary = temporary_path(path)
    plan_file = temporary / PLAN_FILE
    removed = temporary.with_name(f"{temporary.name}-removed")
    with _locked(path):
        try:
            with writing_to(path, temporary):
                shutil.rmtree(removed, ignore_errors=True)
                text = json.dumps(plan, sort_keys=True, ensure_ascii=False)
                if not plan_file.exists() or plan_file.read_text(encoding="utf-8") != text:
                    shutil.rmtree(temporary, ignore_errors=True)
                    temporary.mkdir(parents=True)
                write_text(plan_file, text)
                yield temporary
                entries = list(temporary.iterdir())
                # What takes long or may fail comes first, while the next call would still find everything.
                for file in filter(Path.is_file, entries):
                    to_disk(file)
                removed.mkdir()
                for entry in entries:
                    if entry.is_dir() or entry == plan_file:
                        entry.rename(removed / entry.name)
                _publish(temporary, path)
        finally:
            shutil.rmtree(removed, ignore_errors=True)
            if not any(file.is_file() and file != plan_file for file in temporary.rglob("*")):
                shutil.rmtree(temporary, ignore_errors=True)  # nothing worth keeping


def check_is_free(path: AnyPath | str, besides: Collection[str] = ()) -> None:
    """Raises `UserError` if `path` exists, unless it is a folder that contains nothing but names in `besides`."""
    path = path_to_write(path)
    if path.exists() and (not path.is_dir() or any(entry.name not in besides for entry in path.iterdir())):
        raise UserError(f"{path}: exists already; delete it or choose another place")


def write_text(path: AnyPath | str, text: str) -> None:
    """Writes `text` to `path` as UTF-8, atomically."""
    with write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: AnyPath | str, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: AnyPath | str, fix: str = "copy it again") -> dict[str, Any]:
    """The JSON object in the file `path`.

    Args:
        path: str, Path or Address.
        fix: str. What the error tells the user to do if the file holds no JSON object.

    Raises:
        UserError: the file cannot be read, or does not hold a JSON object.
    """
    try:
        values = json.loads(read_text(path_of(path)))
    except UserError:  # a hub refuses the file
        raise
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: is not readable JSON ({error}); {fix}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: should hold a JSON object like {{}}; {fix}")
    return values


def _check_is_new(path: Path) -> None:
    check_is_free(path)
    # This process and the shell would stay in the folder that was replaced, and see nothing of the new one.
    if path.exists() and path.samefile(Path.cwd()):
        raise UserError(f"{path}: is the current folder, which cannot be replaced; give the name of a new folder")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock, so that no other process writes the new folder `path` at the same time."""
    lock_file = path.with_name(f".lock-{path.name}")
    with writing_to(path, lock_file):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Lock(lock_file, path)
    with lock:
        check_is_free(path)  # the process that we waited for may have finished it
        yield


def _publish(temporary: Path, path: Path) -> None:
    for entry in temporary.rglob("*"):
        to_disk(entry)
    to_disk(temporary)
    temporary.replace(path)
    to_disk(path.parent)


def to_disk(path: Path) -> None:
    """Flushes the file or folder to the disk (`fsync`), if its file system supports this."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
