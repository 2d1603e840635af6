"""Address: a file or folder that is not on this machine, with the methods of `pathlib.Path`."""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from keras_bert_scratch.errors import UserError

BUFFER_BYTES = 1 << 20


class Status(NamedTuple):
    """What `Address.stat` returns; field names as in `os.stat_result`."""

    st_size: int
    st_mtime_ns: int


class Address:
    """A file or folder that `tf.io.gfile` opens, with the methods of `pathlib.Path`.

    All methods raise `OSError`, including `FileNotFoundError`, where the methods of `Path` do.

    Args:
        address: str. Scheme and path, such as `"gs://bucket/records"`.

    Example:
        >>> folder = Address("ram://corpus")
        >>> (folder / "sky.txt").write_bytes(b"The sky is blue.")
        >>> [str(path) for path in folder.iterdir()], (folder / "sky.txt").stat().st_size
        (['ram://corpus/sky.txt'], 16)
    """

    def __init__(self, address: str) -> None:
        scheme, _, path = address.partition("://")
        self._address = f"{scheme}://{path.rstrip('/') or path}"

    def __str__(self) -> str:
        return self._address

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._address)

    def __lt__(self, other: Address) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> Address:
        return type(self)(f"{self._address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The part after the last slash."""
        return self._address.rpartition("/")[2]

    @property
    def parent(self) -> Address:
        """The folder that contains it."""
        return type(self)(self._address.rpartition("/")[0] + "/")

    def exists(self) -> bool:
        """Whether there is a file or a folder at this address."""
        with self._os_errors() as gfile:
            return gfile.exists(str(self)) or gfile.isdir(str(self))

    def is_dir(self) -> bool:
        """Whether it is a folder; in an object store, whether the name of any object starts with this address."""
        with self._os_errors() as gfile:
            return gfile.isdir(str(self))

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator[Address]:
        """The entries of the folder, sorted by name."""
        with self._os_errors() as gfile:
            names = sorted({name.rstrip("/") for name in gfile.listdir(str(self))} - {""})
        yield from (self / name for name in names)

    def walk_files(self) -> Iterator[Address]:
        """All files in the folder and its subfolders, sorted by address."""
        with self._os_errors() as gfile:
            found = [gfile.join(folder, name) for folder, _, names in gfile.walk(str(self)) for name in names]
            # The in-memory file system (`ram://`) also lists the content of `assets.extra` in `assets`, as `.extra`.
            found = [file for file in found if "/." not in file or gfile.exists(file)]
        yield from map(Address, sorted(found))

    def matching(self) -> list[Address]:
        """The files and folders that match this address, which may contain `*` or `?`, sorted."""
        with self._os_errors() as gfile:
            return [type(self)(found) for found in sorted(gfile.glob(str(self)))]

    def stat(self) -> Status:
        """The size in bytes and the time of the last change."""
        with self._os_errors() as gfile:
            status = gfile.stat(str(self))
        return Status(status.length, status.mtime_nsec)

    def open(self, mode: str = "rb", buffering: int = BUFFER_BYTES) -> BinaryIO:
        """Opens a byte stream, for reading (`"rb"`, seekable) or for writing (`"wb"`)."""
        with self._os_errors() as gfile:
            if mode == "wb" and str(self).startswith("ram://") and gfile.exists(str(self)):
                gfile.remove(str(self))  # this file system would append to the existing file
            raw = _Stream(self, gfile.GFile(str(self), mode), mode)
            if mode == "rb":
                gfile.stat(str(self))  # GFile itself reports a missing file only at the first read
                return io.BufferedReader(raw, max(1, buffering))
            return io.BufferedWriter(raw, BUFFER_BYTES)

    def read_bytes(self) -> bytes:
        """The whole content."""
        with self.open() as file:
            return file.read()

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole content as text."""
        return self.read_bytes().decode(encoding)

    def write_bytes(self, content: bytes) -> None:
        """Writes `content`; overwrites an existing file."""
        self.parent.mkdir()
        with self.open("wb") as file:
            file.write(content)

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Creates the folder and its parents, if the file system has folders."""
        with self._os_errors() as gfile:
            if not gfile.isdir(str(self)):
                gfile.makedirs(str(self))

    def rename(self, target: Address) -> None:
        """Moves the file to the address `target`; overwrites an existing file."""
        with self._os_errors() as gfile:
            gfile.rename(str(self), str(target), overwrite=True)

    def unlink(self) -> None:
        """Removes the file."""
        with self._os_errors() as gfile:
            gfile.remove(str(self))

    def rmdir(self) -> None:
        """Removes the folder if it is empty and the file system has folders."""
        with self._os_errors() as gfile:
            if gfile.isdir(str(self)) and not gfile.listdir(str(self)):
                gfile.rmtree(str(self))

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[Any]:
        """Yields `tf.io.gfile`; converts its exceptions to the `OSError` that `pathlib` would raise."""
        try:
            import tensorflow as tf
        except ImportError:
            raise UserError(f"{self}: needs TensorFlow; install it, or copy the files to this machine") from None
        try:
            yield tf.io.gfile
        except tf.errors.OpError as error:
            text = error.message.splitlines()[0] if error.message else type(error).__name__
            if isinstance(error, tf.errors.UnimplementedError):
                scheme = str(self).partition("://")[0]
                text = (
                    f"TensorFlow cannot open {scheme}:// by itself; install a plugin, for s3:// for instance 'pip "
                    f"install tensorflow-io', or copy the files to this machine"
                )
            numbers = {
                tf.errors.NotFoundError: errno.ENOENT,
                tf.errors.PermissionDeniedError: errno.EACCES,
                tf.errors.UnauthenticatedError: errno.EACCES,
                tf.errors.AlreadyExistsError: errno.EEXIST,
                tf.errors.ResourceExhaustedError: errno.ENOSPC,
                tf.errors.UnimplementedError: errno.EPROTONOSUPPORT,
            }
            raise OSError(numbers.get(type(error), errno.EIO), text, str(self)) from error


class _Stream(io.RawIOBase):
    """A file opened by `tf.io.gfile`, with the interface of Python's raw streams."""

    def __init__(self, address: Address, file: Any, mode: str) -> None:
        self._address, self._file, self._mode = address, file, mode

    def readable(self) -> bool:
        return self._mode == "rb"

    def writable(self) -> bool:
        return self._mode == "wb"

    def seekable(self) -> bool:
        return self.readable()

    def readinto(self, buffer: Any) -> int:
        with self._address._os_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any) -> int:
        with self._address._os_errors():
            self._file.write(bytes(data))
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._address._os_errors():
            self._file.seek(offset, whence)
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell() if self.readable() else 0

    def close(self) -> None:
        if not self.closed:
            with self._address._os_errors():
                self._file.close()
        super().close()
