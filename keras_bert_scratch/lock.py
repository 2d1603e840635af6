"""One process at a time writes a folder: a lock of the operating system, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import datetime
import errno
import logging
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import filelock

from keras_bert_scratch.errors import UserError

# A process that was just killed holds its lock until its memory is freed, which may take a moment.
WAIT_SECONDS = 3.0
NO_LOCKS_HERE = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)

log = logging.getLogger(__name__)


class Lock:
    """Holds a lock from the moment it is made until `release`, the end of a `with` block or the end of the process.

    It is `flock` on an open file. The operating system gives it up when the process ends, however it ends, so that what
    a killed process leaves behind blocks nobody; a process that replaces itself (`os.execv`) gives it up as well. On
    NFS, Linux asks the server, so that it holds between machines, unless the mount says `nolock` or `local_lock`: then
    it holds on each machine alone. A file system without locks is used without, and the log says so.

    Args:
        file: Path. The lock's file, which names the holder; it is removed with the release. Its folder must exist.
        subject: Path. What the lock is for, to be named in the error.

    Raises:
        UserError: another process holds the lock; names it.
        OSError: the file cannot be made.

    Example:
        >>> with Lock(Path(".lock"), Path("run")):
        ...     print(Path(".lock").read_text().startswith("process"))
        True
    """

    def __init__(self, file: Path, subject: Path) -> None:
        self._file = file
        self._lock = filelock.FileLock(file, thread_local=False, fallback_to_soft=False)
        try:
            self._lock.acquire(timeout=WAIT_SECONDS)
        except filelock.Timeout:
            raise UserError(
                f"{subject}: is being written by {self._holder()}; wait for its end, stop it, or choose another place"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
            log.warning("%s: its file system has no locks (%s); let no second process write it", subject, error)
            return
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        with contextlib.suppress(OSError):  # on a full disk the lock counts too, but its holder has no name
            file.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}", encoding="utf-8")

    def release(self) -> None:
        """Gives the lock up, if it is still held."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                self._file.unlink()  # while it is held: whoever waits for it sees that it is gone
            self._lock.release()

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            if text := self._file.read_text(encoding="utf-8"):
                return text
        return "another process"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
