"""Lock: lets only one process at a time write a folder; the operating system releases it when its process ends."""

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
    """A lock that is held from construction until `release`, the end of a `with` block or the end of the process.

    It is `flock` on an open file. The operating system releases it when the process ends, however it ends, so that a
    killed process blocks nobody; a process that replaces itself (`os.execv`) releases it as well. On NFS, Linux locks
    on the server, so that the lock is valid across machines, unless the mount option `nolock` or `local_lock` is set:
    then it is valid only within each machine. On a file system without locks, nothing is locked, with a log warning.

    Args:
        file: Path. The lock file, whose content names the holder; `release` removes it. Its folder must exist.
        subject: Path. What the lock protects, for the error message.

    Raises:
        UserError: another process holds the lock; the message names it.
        OSError: the file cannot be created.

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
                f"{subject}: is being written by {self._holder()}; wait until it ends, stop it, or choose another place"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS_HERE:
                raise
            log.warning(
                "%s: its file system has no locks (%s); make sure that no second process writes it", subject, error
            )
            return
        since = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        try:
            with contextlib.suppress(OSError):  # on a full disk the lock is valid too, but does not name its holder
                file.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}", encoding="utf-8")
        except BaseException:  # an interrupt
            self.release()
            raise

    def release(self) -> None:
        """Releases the lock, if it is still held."""
        if self._lock.is_locked:
            try:
                with contextlib.suppress(OSError):
                    self._file.unlink()  # while the lock is held, so that a waiting process notices it
            finally:
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
