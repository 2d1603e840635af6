"""Errors: `UserError`, for problems that the user can fix, and the conversion of operating-system errors to it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

FULL_BELOW = 1 << 20  # bytes; a disk with less free space counts as full


class UserError(ValueError):
    """A problem that the user can fix: the message names the file or argument, and the fix.

    Arguments are in backticks, as in Python: "`batch_size`: must be at least 1, not 0", "leave it out or give
    `packing=True`". The command line replaces them by its own flags, prints the message as one line without a
    traceback, and exits with code 2.

    Example:
        >>> raise UserError("vocab.txt: lacks [MASK]; add it as a line of its own")
        Traceback (most recent call last):
        ...
        keras_bert_scratch.errors.UserError: vocab.txt: lacks [MASK]; add it as a line of its own
    """

    # AutoGraph re-raises an exception from a `tf.function` as its own class only if its constructor is `Exception`'s.
    __init__ = Exception.__init__


class Stopped(Exception):  # noqa: N818 - it is not an error
    """Training was stopped by SIGTERM after it saved its state; the message names the step."""


class WorkerLostError(Exception):
    """Another worker of the same training is lost; this process must restart together with the others."""


@contextlib.contextmanager
def writing_to(path: Path | str, temporary: Path | str | None = None) -> Iterator[None]:
    """Converts errors in writing `path` to a `UserError` that names the file that could not be written.

    TensorFlow and HDF5 report a full disk with their own exceptions, recognisable only by their text. An error that
    names another file is about that file; a disk-full error that names none is about `path` if its disk is full.

    Args:
        path: str or Path. What is being written, for the message.
        temporary: str, Path or None. The path that it is written to first, if that differs.

    Raises:
        UserError: the disk is full or read-only, a name is too long, a file is in the way, too many files are open, or
            permissions forbid it.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if refusal := _refusal(error, Path(path), Path(temporary or path)):
            raise refusal from error
        raise


def os_error_as_user_error(error: OSError) -> UserError | None:
    """The operating-system error as a `UserError`, or `None` if it names no file or the user cannot fix it."""
    return _about(_file_named(error), error.errno) if _file_named(error) else None


# What each operating-system error means for a file, and how to fix it.
_MEANINGS = {
    errno.ENOENT: "no such file or folder; check the path",
    errno.ENOSPC: "the disk is full; free some space or choose another place, then run again",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another place, then run again",
    errno.EROFS: "is on a read-only file system; choose another place",
    errno.EACCES: "permission is denied; change the permissions or choose another place",
    errno.EPERM: "permission is denied; change the permissions or choose another place",
    errno.ENAMETOOLONG: "its name is too long for the file system; choose a shorter one",
    errno.ENOTDIR: "a file is in the way of a folder; choose another place",
    errno.EEXIST: "a file is in the way; choose another place",
    errno.EISDIR: "a folder is in the way of a file; choose another place",
    errno.EMFILE: "too many files are open; raise the limit with 'ulimit -n'",
    errno.ENFILE: "too many files are open on this machine; close other programs",
    errno.EIO: "its disk has an error (input/output error); choose another place",
}
# Error texts of libraries that do not pass on the error number.
_TEXTS = {
    "No space left": errno.ENOSPC,
    "Disk quota": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
}
_PERMISSION = (errno.EACCES, errno.EPERM)
# Errors that are probably a bug of this library if they concern another file than the one being written.
_OF_THE_PATH_ALONE = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def _refusal(error: Exception, path: Path, temporary: Path) -> UserError | None:
    """The `UserError` for `error`, raised while `path` was written via `temporary`; `None` if it is unrelated."""
    text = str(error)
    number = getattr(error, "errno", None) or next((number for known, number in _TEXTS.items() if known in text), None)
    named = _file_named(error)
    if not named:
        ours = str(temporary) in text
        if number == errno.ENOSPC and not ours and not _is_full(path):
            return UserError(
                f"a disk is full, but not that of {path}; check the disk of the temporary files, "
                f"{tempfile.gettempdir()}"
            )
        about_another = number in _OF_THE_PATH_ALONE or (number in (errno.EROFS, *_PERMISSION) and not ours)
        return _about(str(path), number) if not about_another else None
    if Path(named).is_relative_to(temporary):
        return _about(str(path / Path(named).relative_to(temporary)), number) if number != errno.ENOENT else None
    if number in _OF_THE_PATH_ALONE and (number == errno.ENOENT or not path.is_relative_to(named)):
        return None
    return _about(named, number)


def _about(file: str, number: int | None) -> UserError | None:
    return UserError(f"{file}: {_MEANINGS[number]}") if number in _MEANINGS else None


def _file_named(error: Exception) -> str:
    """The file that an operating-system error names, or an empty string."""
    named = getattr(error, "filename", None)
    return os.fsdecode(named) if isinstance(named, (str, bytes, Path)) else ""


def _is_full(path: Path) -> bool:
    """Whether the disk of `path`, which need not exist yet, has no space left."""
    there = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), Path("/"))
    return shutil.disk_usage(there).free < FULL_BELOW


def user_error_within(error: Exception) -> UserError | None:
    """The `UserError` that a `tf.data` generator raised; TensorFlow passes it on as text inside its own error."""
    _, found, message = str(error).partition("UserError: ")
    return UserError(message.splitlines()[0]) if found else None
