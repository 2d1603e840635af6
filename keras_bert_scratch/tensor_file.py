"""Named arrays in one HDF5 file, written whole or not at all, one after the other."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError


def write_tensors(path: Path | str, tensors: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]]) -> None:
    """Writes `tensors` to `path`, one after the other: of an iterator's, no more than one is in memory at a time.

    Args:
        path: str or Path. The file, replaced when the new one is whole.
        tensors: mapping of names to arrays, or pairs of them. A `/` in a name makes a group.

    Raises:
        UserError: the disk refuses the file.

    Example:
        >>> write_tensors("numbers.h5", {"layer/bias": np.zeros(3)})
        >>> {name: tensor.shape for name, tensor in read_tensors("numbers.h5").items()}
        {'layer/bias': (3,)}
    """
    with atomic.write(path) as temporary, temporary.open("w+b", buffering=0) as file:
        target = _Target(file)
        try:
            with h5py.File(target, "w") as hdf5:
                for name, tensor in tensors.items() if isinstance(tensors, Mapping) else tensors:
                    hdf5[name] = tensor
                    target.check()
                    del tensor  # before the next one is made
        finally:
            target.check()


def read_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors that `write_tensors` wrote, by name."""
    return dict(iterate_tensors(path))


def iterate_tensors(path: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Name and tensor, one after the other.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with h5py.File(path) as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                yield name, file[name][()]
    except OSError as error:
        raise UserError(f"{path}: is damaged ({str(error).splitlines()[0]}); copy it again") from error


class _Target(io.RawIOBase):
    """A file for HDF5 to write to that never fails: the library brings the process down when the disk is full.

    Args:
        file: binary file, unbuffered. The first error of writing to it is kept for `check`; what follows is dropped.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raises the error that there was, if any."""
        if self._error is not None:
            raise self._error

    def write(self, data: memoryview) -> int:
        view = memoryview(data).cast("B")
        written = 0
        try:
            while self._error is None and written < len(view):
                written += self._file.write(view[written:])
        except OSError as error:
            self._error = error
        return len(view)

    def truncate(self, size: int) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self._error = self._error or error
            return size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)
