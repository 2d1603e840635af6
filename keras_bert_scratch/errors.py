"""The one error that a user can mend, and what the operating system's own errors mean in its terms."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path


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
def writing_to(path: Path | str) -> Iterator[None]:
    """Turns the ways in which a disk refuses to take `path` into a `UserError`.

    TensorFlow and HDF5 report a full disk with exceptions of their own, recognisable only by their text.
    """
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        text = str(error)
        if number in (errno.ENOSPC, errno.EDQUOT) or "No space left" in text or "Disk quota" in text:
            raise UserError(
                f"{path}: the disk is full; free some space or choose another place, then run again"
            ) from error
        if isinstance(error, PermissionError):
            raise UserError(f"{path}: may not be written; choose another place or change its permissions") from error
        if isinstance(error, (NotADirectoryError, FileExistsError)):
            raise UserError(f"{path}: a file is in the way ({error.filename}); choose another place") from error
        raise


def user_error_within(error: Exception) -> UserError | None:
    """The `UserError` that a `tf.data` generator raised; TensorFlow passes it on as text inside its own error."""
    _, found, message = str(error).partition("UserError: ")
    return UserError(message.splitlines()[0]) if found else None
