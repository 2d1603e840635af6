"""Mirror: a run at an address such as `gs://bucket/run` works in a local folder, and each change is uploaded."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from keras_bert_scratch.address import Address, Status
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import files_below, reading, writing
from keras_bert_scratch.transfer import download_file, files_at, upload_file

RETRY_SECONDS = (1.0, 5.0, 20.0)  # pauses after a failed upload
UNSENT_FILE = ".unsent"  # exists while the local folder holds more than the address


class Mirror:
    """Keeps the folder at an address identical to a local folder.

    Addresses have no locks. Instead, `upload` detects that another process writes there, because the last file of
    `last` has changed. It then raises, so that only the process that started later continues.

    After its first upload, a process repeats an upload that fails. If all attempts fail, `has_unsent` is true, also in
    the next process.

    Args:
        folder: Path. The local folder; `download` removes its content.
        address: Address. Its remote copy.
        kept: str of each. Names in `folder` that are neither removed nor copied.
        last: str of each. Names of the files that make other files valid; they are uploaded last, in this order.

    Raises:
        UserError: the address cannot be read.
    """

    def __init__(self, folder: Path, address: Address, kept: Collection[str], last: tuple[str, ...]) -> None:
        self._folder, self._address, self._kept, self._last = folder, address, kept, last
        self._known: dict[str, Status] = {}  # the files that were copied, with size and time
        self._left: bytes | None = None  # what this process last wrote to the last file of `last`
        self._unsent = folder / UNSENT_FILE

    @property
    def has_unsent(self) -> bool:
        """Whether the local folder holds files that could not be uploaded."""
        return self._unsent.exists()

    def download(self, folders: Collection[str]) -> None:
        """Replaces the local folder by the one at the address; of its subfolders, only by `folders`."""
        self._unsent.unlink(missing_ok=True)  # first: what is left of the folder is no longer whole
        for entry in self._folder.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in self._kept:
                entry.unlink()
        with reading(self._address):
            there = files_at(self._address, folders) if self._address.exists() else {}
        for name in there:
            download_file(self._address / name, self._folder / name)
        self._known = self._files()

    def resume_upload(self, folders: Collection[str]) -> None:
        """Replaces the folder at the address by the local one; of its subfolders, only `folders`.

        Raises:
            UserError: the address cannot be read or written.
        """
        self._known = files_at(self._address, folders)
        self.upload()

    def upload(self) -> None:
        """Uploads what has changed since the last call, then removes at the address what was removed locally.

        Raises:
            UserError: the address cannot be written, or another process writes there.
        """
        if self._left is not None:
            self._unsent.touch()
        for pause in (*RETRY_SECONDS, None):
            try:
                self._check_alone()
                self._send()
                break
            except UserError as error:
                if not (self.has_unsent and isinstance(error.__cause__, OSError)):
                    raise
                if pause is None:
                    raise UserError(
                        f"{error}; the next start on this machine continues from the copy in {self._folder}"
                    ) from error
                time.sleep(pause)
        self._left = self._guard_here()
        self._unsent.unlink(missing_ok=True)

    def _send(self) -> None:
        files = self._files()
        changed = [name for name, status in files.items() if self._known.get(name) != status]
        for name in sorted(changed, key=self._rank):
            upload_file(self._folder / name, self._address / name)
            self._known[name] = files[name]
        with writing(self._address):
            for name in self._known.keys() - files.keys():
                with contextlib.suppress(FileNotFoundError):  # removed by an upload that failed after it
                    (self._address / name).unlink()
            for name in sorted(_folders(self._known) - _folders(files), reverse=True):
                (self._address / name).rmdir()
        self._known = files

    def _check_alone(self) -> None:
        guard = self._address / self._last[-1]
        with reading(guard):
            # An upload that failed may have written the file all the same.
            ours = (self._left, self._guard_here())
            if self._left is not None and (not guard.exists() or guard.read_bytes() not in ours):
                self._unsent.unlink(missing_ok=True)  # the other process continues from the address
                raise UserError(
                    f"{self._address}: another process has overwritten {guard.name}; stop one of the two processes, "
                    f"or choose another `out`"
                )

    def _guard_here(self) -> bytes | None:
        guard = self._folder / self._last[-1]
        return guard.read_bytes() if guard.exists() else None

    def _rank(self, name: str) -> tuple[int, str]:
        base = name.rpartition("/")[2]
        return (1 + self._last.index(base) if base in self._last else 0), name

    def _files(self) -> dict[str, Status]:
        """The complete files of the local folder, by name."""
        found = {}
        for file in files_below(self._folder):
            name = file.relative_to(self._folder)
            if not any(part.startswith(".") for part in name.parts):
                status = file.stat()
                found[name.as_posix()] = Status(status.st_size, status.st_mtime_ns)
        return found


def _folders(files: Iterable[str]) -> set[str]:
    """The names of the folders that hold the files."""
    return {str(folder) for name in files for folder in PurePosixPath(name).parents} - {"."}
