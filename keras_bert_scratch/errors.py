"""The one error that a user can mend, and what the operating system's own errors mean in its terms."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

FULL_BELOW = 1 << 20  # bytes left on a disk that was too full for what came next


class UserError(ValueError):
    """Something the user can put right: the message names the file or argument, and the mend.

    Arguments stand in backticks, as in Python: "`batch_size`: must be at least 1, not 0", "leave it out or give
    `packing=True`". The command line prints the message as one line, with its own flags in their place, and exits with
    code 2; a traceback would add nothing.

    Example:
        >>> raise UserError("vocab.txt: lacks [MASK]; add it as a line of its own")
        Traceback (most recent call last):
        ...
        keras_bert_scratch.errors.UserError: vocab.txt: lacks [MASK]; add it as a line of its own
    """

    # Out of a `tf.function`, AutoGraph lets only those classes through whose constructor is plainly `Exception`'s.
    __init__ = Exception.__init__


class Stopped(Exception):  # noqa: N818 - it is no error
    """Training was asked to stop, by SIGTERM, and has kept its state; the message says where it stands."""


class WorkerLostError(Exception):
    """Another worker of the same training is gone; this process has to start again with the others."""


@contextlib.contextmanager
def writing_to(path: Path | str, temporary: Path | str | None = None) -> Iterator[None]:
    """Turns the ways in which a disk refuses to take `path` into a `UserError` that names the file which had no space.

    TensorFlow and HDF5 report a full disk with exceptions of their own, recognisable only by their text. An error that
    names another file is about that one; an error that names none is about `path` if the disk of `path` is full.

    Args:
        path: str or Path. What is being written, for the message.
        temporary: str, Path or None. Where it is written first, if elsewhere.

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


def refusal_of(error: OSError) -> UserError | None:
    """The operating system's error as the user's, if it is one that a user can mend and says which file it is about."""
    return _about(_file_named(error), error.errno) if _file_named(error) else None


# What each error of the operating system means for a file, and what helps.
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
    errno.ENFILE: "too many files are open on this machine; end other programs",
    errno.EIO: "its disk fails (input/output error); choose another place",
}
# How libraries say it that do not pass the number on.
_TEXTS = {
    "No space left": errno.ENOSPC,
    "Disk quota": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
}
_PERMISSION = (errno.EACCES, errno.EPERM)
# What may well be a fault of ours where it happens to another file than the one being written.
_OF_THE_PATH_ALONE = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)


def _refusal(error: Exception, path: Path, temporary: Path) -> UserError | None:
    """What `error` means to who writes `path` by way of `temporary`; `None` if it has nothing to do with that."""
    text = str(error)
    number = getattr(error, "errno", None) or next((number for known, number in _TEXTS.items() if known in text), None)
    named = _file_named(error)
    if not named:
        ours = str(temporary) in text
        if number == errno.ENOSPC and not ours and not _is_full(path):
            return UserError(
                f"no space is left on a disk, but not on that of {path}; look at that of the temporary files, "
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
    """The file that the operating system says it is about, if it does."""
    named = getattr(error, "filename", None)
    return os.fsdecode(named) if isinstance(named, (str, bytes, Path)) else ""


def _is_full(path: Path) -> bool:
    """Whether the disk on which `path` is, or would be, has no space left."""
    there = next((folder for folder in (path, *path.absolute().parents) if folder.exists()), Path("/"))
    return shutil.disk_usage(there).free < FULL_BELOW


def user_error_within(error: Exception) -> UserError | None:
    """The `UserError` that a `tf.data` generator raised; TensorFlow passes it on as text inside its own error."""
    _, found, message = str(error).partition("UserError: ")
    return UserError(message.splitlines()[0]) if found else None
