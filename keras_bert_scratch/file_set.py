"""Files of a folder that are replaced together: a reader sees all old or all new files, even if a writer dies.

A folder may hold other files as well (`run.json`, states), so it cannot be replaced as a whole. New files are written
into a subfolder and flushed to the disk, and the subfolder is renamed to `.committed`: from then on they are valid.
Then each file is moved to its place. Readers look into `.committed` first; a writer that finds it finishes the moves.
An empty file `.removed-NAME` among the new files says that the old file NAME does not belong to them and is deleted.

Addresses such as `gs://bucket/model` have no such rename: if a writer dies there, readers do not recognise the folder
as a model.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeVar

from keras_bert_scratch.atomic import to_disk
from keras_bert_scratch.errors import UserError, writing_to
from keras_bert_scratch.filesystem import Address, AnyPath, path_of, path_to_write
from keras_bert_scratch.lock import Lock
from keras_bert_scratch.transfer import upload_folder

STAGED, COMMITTED = ".staged", ".committed"
REMOVED = ".removed-"
LOCK_FILE = ".lock-files"  # a run holds `.lock` while it writes its model

Result = TypeVar("Result")


@contextlib.contextmanager
def replaced_together(directory: AnyPath | str, without: Collection[str] = ()) -> Iterator[Path]:
    """Yields a folder to write files into; if the block succeeds, they replace files of the same name in `directory`.

    No file is replaced if the block raises, or if the process or the machine dies before all files are written.
    Blocks may be nested: the files of the inner block then belong to the outer block.

    Args:
        directory: the folder; created if it is missing. Files with other names are not changed.
        without: names of files that are deleted from it, together with the replacement, unless the block writes them.

    Raises:
        UserError: another process is replacing files of the folder, or the disk or the address cannot be written.

    Example:
        >>> with replaced_together("model") as staged:
        ...     _ = (staged / "config.json").write_text("{}")
        >>> current_file("model", "config.json").read_text()
        '{}'
    """
    directory = path_to_write(directory)
    if isinstance(directory, Address):
        with tempfile.TemporaryDirectory() as folder:
            staged = Path(folder) / STAGED
            staged.mkdir()
            yield staged
            _mark_removed(staged, without)
            marks = list(staged.glob(f"{REMOVED}*"))
            for mark in marks:
                mark.unlink()
            upload_folder(staged, directory, [mark.name.removeprefix(REMOVED) for mark in marks])
        return
    staged = directory / STAGED
    with _locked(directory), writing_to(directory, staged):
        _finish(directory)
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        try:
            yield staged
            _mark_removed(staged, without)
            for file in staged.iterdir():
                to_disk(file)
            to_disk(staged)
            staged.rename(directory / COMMITTED)
            to_disk(directory)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        _finish(directory)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Creates the folder if it is missing, and lets no other process replace its files during the block."""
    with writing_to(directory, directory / LOCK_FILE):
        directory.mkdir(parents=True, exist_ok=True)
        lock = Lock(directory / LOCK_FILE, directory)
    with lock:
        yield


def current_file(directory: AnyPath | str, name: str) -> AnyPath:
    """Where to read the file `name` of `directory`: in `.committed` if a writer has not moved it yet, or died before.

    A writer at work may move the file before it is opened; `read_current` then finds it again.
    """
    directory = path_of(directory)
    committed = directory / COMMITTED
    if not isinstance(directory, Path) or not committed.exists():
        return directory / name
    # Of a file that is to be deleted, the path in `.committed`, where it does not exist.
    decided = (committed / name).exists() or (committed / f"{REMOVED}{name}").exists()
    return committed / name if decided else directory / name


def _mark_removed(staged: Path, names: Collection[str]) -> None:
    for name in names:
        if not (staged / name).exists():
            (staged / f"{REMOVED}{name}").touch()


def read_current(directory: AnyPath | str, name: str, read: Callable[[AnyPath], Result]) -> Result | None:
    """What `read` returns for the current file `name` of `directory`; `None` if there is no such file.

    If a writer moves the file to its place meanwhile, it is read there.

    Args:
        directory: the folder.
        name: str. The name of a file that `replaced_together` replaces.
        read: function. Its errors pass, unless the file was moved.

    Example:
        >>> with replaced_together("model") as staged:
        ...     _ = (staged / "config.json").write_text("{}")
        >>> read_current("model", "config.json", Path.read_text)
        '{}'
    """
    while True:
        file = current_file(directory, name)
        may_be_moved = file != path_of(directory) / name
        try:
            if file.exists():
                return read(file)
        except (OSError, UserError):
            if not may_be_moved or file.exists():
                raise
        if not may_be_moved or current_file(directory, name) == file:  # the latter if it is to be deleted
            return None


def _finish(directory: Path) -> None:
    """Moves the files of an earlier, complete block to their places, and deletes those that do not belong to them."""
    committed = directory / COMMITTED
    if committed.exists():
        # Marks come first: a block around the one that made a mark may have written the file.
        for file in sorted(committed.iterdir(), key=lambda file: (not file.name.startswith(REMOVED), file.name)):
            if file.name.startswith(REMOVED):
                (directory / file.name.removeprefix(REMOVED)).unlink(missing_ok=True)
            if file.name.startswith(REMOVED) and directory.name != STAGED:
                file.unlink()
            else:  # the block around has to delete the file as well
                file.replace(directory / file.name)
        to_disk(directory)
        committed.rmdir()
