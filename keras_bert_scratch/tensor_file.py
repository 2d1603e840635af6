"""Named arrays in one HDF5 file, which is written atomically and one array at a time."""

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
    """Writes `tensors` to `path` one at a time, so that only one tensor of an iterator is in memory.

    Args:
        path: str or Path. The file; replaced when the new one is complete.
        tensors: mapping of names to arrays, or iterable of (name, array). A `/` in a name creates a group.

    Raises:
        UserError: the file cannot be written.

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
                    del tensor  # before the next one is made
                    target.check()
        finally:
            target.check()


def read_tensors(path: Path | str) -> dict[str, np.ndarray]:
    """The tensors that `write_tensors` or Keras wrote, by name; bfloat16 becomes float32."""
    return dict(iterate_tensors(path))


def iterate_tensors(path: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Yields name and tensor, one at a time.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with h5py.File(path) as file:
            names: list[str] = []
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            for name in names:
                yield name, _numbers(file[name])
    except OSError as error:
        raise UserError(f"{path}: is damaged ({str(error).splitlines()[0]}); copy it again") from error


def _numbers(dataset: h5py.Dataset) -> np.ndarray:
    """The array; as float32 if a number is two opaque bytes: Keras writes bfloat16 so, a type that HDF5 lacks."""
    tensor = dataset[()]
    if dataset.dtype != np.dtype("V2"):
        return tensor
    upper_halves = np.frombuffer(tensor.tobytes(), "<u2").astype("<u4").reshape(tensor.shape)
    return (upper_halves << 16).view("<f4")


class _Target(io.RawIOBase):
    """A file whose writes never fail, for HDF5: that library crashes the process if the disk is full.

    Args:
        file: binary file, unbuffered. The first write error is kept for `check`; all later data is dropped.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._error: OSError | None = None

    def check(self) -> None:
        """Raises the first write error, if there was one."""
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
