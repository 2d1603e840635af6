"""A run at an address such as `gs://bucket/run`: it works in a folder of this machine, and each change is copied."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from keras_bert_scratch.address import Address, Status
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import files_below, reading, writing
from keras_bert_scratch.transfer import download_file, files_at, upload_file


class Mirror:
    """Keeps the folder at an address as a local one is.

    Addresses have no locks. Instead, `upload` finds out that another process writes there: `last` is not as it was
    left, and who comes later goes on alone.

    Args:
        folder: Path. The local folder; what is in it is removed.
        address: Address. Its copy.
        kept: str of each. Names in `folder` that are neither removed nor copied.
        last: str of each. Names of the files that make others count, in the order in which they are copied.

    Raises:
        UserError: the address cannot be read.
    """

    def __init__(self, folder: Path, address: Address, kept: Collection[str], last: tuple[str, ...]) -> None:
        self._folder, self._address, self._kept, self._last = folder, address, kept, last
        self._known: dict[str, Status] = {}  # what was copied, as it was
        self._left: bytes | None = None  # how this process left the last of `last`

    def download(self, folders: Collection[str]) -> None:
        """Makes the local folder what the one at the address is, of its subfolders `folders` alone."""
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

    def upload(self) -> None:
        """Copies what has changed since the last time, then removes there what was removed here.

        Raises:
            UserError: the address cannot be written, or another process writes there.
        """
        self._check_alone()
        files = self._files()
        changed = [name for name, status in files.items() if self._known.get(name) != status]
        for name in sorted(changed, key=self._rank):
            upload_file(self._folder / name, self._address / name)
        with writing(self._address):
            for name in self._known.keys() - files.keys():
                (self._address / name).unlink()
            for name in sorted(_folders(self._known) - _folders(files), reverse=True):
                (self._address / name).rmdir()
        self._known = files
        guard = self._folder / self._last[-1]
        self._left = guard.read_bytes() if guard.exists() else None

    def _check_alone(self) -> None:
        guard = self._address / self._last[-1]
        with reading(guard):
            if self._left is not None and (not guard.exists() or guard.read_bytes() != self._left):
                raise UserError(
                    f"{self._address}: another process has written its {guard.name} meanwhile; let one of the two go "
                    f"on, or choose another `out`"
                )

    def _rank(self, name: str) -> tuple[int, str]:
        base = name.rpartition("/")[2]
        return (1 + self._last.index(base) if base in self._last else 0), name

    def _files(self) -> dict[str, Status]:
        """The files of the local folder that are whole, by name."""
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
