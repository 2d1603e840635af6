"""Paths of this machine and addresses such as `gs://bucket/records`, by the same methods.

`path_of` gives a `pathlib.Path` for the first and an `Address` for the second, which has those of `Path`'s methods that
this library uses. TensorFlow's file systems (`tf.io.gfile`) open addresses; it is imported when one is met.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from keras_bert_scratch.errors import UserError

BUFFER_BYTES = 1 << 20

# `pathlib` makes one slash of two: str(Path("gs://bucket")) is "gs:/bucket".
_ADDRESS_AS_PATH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)")


class Status(NamedTuple):
    """What `Address.stat` tells; the names are those of `os.stat_result`."""

    st_size: int
    st_mtime_ns: int


class Address:
    """A file or folder that `tf.io.gfile` opens, with the methods of `pathlib.Path`.

    All methods raise `OSError` where those of `Path` do, `FileNotFoundError` included.

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
        return f"Address({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._address)

    def __lt__(self, other: Address) -> bool:
        return str(self) < str(other)

    def __truediv__(self, name: str) -> Address:
        return Address(f"{self._address.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self._address.rpartition("/")[2]

    @property
    def parent(self) -> Address:
        """The folder that holds it."""
        return Address(self._address.rpartition("/")[0] + "/")

    def exists(self) -> bool:
        """Whether there is a file or a folder."""
        with self._os_errors() as gfile:
            return gfile.exists(str(self)) or gfile.isdir(str(self))

    def is_dir(self) -> bool:
        """Whether it is a folder; in an object store, whether an object's name begins so."""
        with self._os_errors() as gfile:
            return gfile.isdir(str(self))

    def is_file(self) -> bool:
        """Whether it is a file."""
        return self.exists() and not self.is_dir()

    def iterdir(self) -> Iterator[Address]:
        """What the folder holds, in order of name."""
        with self._os_errors() as gfile:
            names = sorted({name.rstrip("/") for name in gfile.listdir(str(self))} - {""})
        yield from (self / name for name in names)

    def walk_files(self) -> Iterator[Address]:
        """The files of the folder and of the folders below it, in order of address."""
        with self._os_errors() as gfile:
            found = [gfile.join(folder, name) for folder, _, names in gfile.walk(str(self)) for name in names]
            # The file system in memory lists what is in `assets.extra` in `assets`, too, as the folder `.extra`.
            found = [file for file in found if "/." not in file or gfile.exists(file)]
        yield from map(Address, sorted(found))

    def matching(self) -> list[Address]:
        """The files and folders that this address, with `*` or `?` in it, stands for, in order."""
        with self._os_errors() as gfile:
            return [Address(found) for found in sorted(gfile.glob(str(self)))]

    def stat(self) -> Status:
        """The size in bytes and the time of the last change."""
        with self._os_errors() as gfile:
            status = gfile.stat(str(self))
        return Status(status.length, status.mtime_nsec)

    def open(self, mode: str = "rb", buffering: int = BUFFER_BYTES) -> BinaryIO:
        """A stream of bytes, to read (`"rb"`), which can seek, or to write (`"wb"`)."""
        with self._os_errors() as gfile:
            if mode == "wb" and str(self).startswith("ram://") and gfile.exists(str(self)):
                gfile.remove(str(self))  # this file system appends to what is there
            raw = _Stream(self, gfile.GFile(str(self), mode), mode)
            if mode == "rb":
                gfile.stat(str(self))  # GFile itself finds out at the first reading that there is no file
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
        """Writes `content`, over what is there."""
        self.parent.mkdir()
        with self.open("wb") as file:
            file.write(content)

    def mkdir(self, parents: bool = True, exist_ok: bool = True) -> None:
        """Makes the folder and those above it, where the file system has folders."""
        with self._os_errors() as gfile:
            if not gfile.isdir(str(self)):
                gfile.makedirs(str(self))

    def rename(self, target: Address) -> None:
        """Gives the file the address `target`, over a file that is there."""
        with self._os_errors() as gfile:
            gfile.rename(str(self), str(target), overwrite=True)

    def unlink(self) -> None:
        """Removes the file."""
        with self._os_errors() as gfile:
            gfile.remove(str(self))

    def rmdir(self) -> None:
        """Removes the empty folder, where the file system has folders."""
        with self._os_errors() as gfile:
            if gfile.isdir(str(self)) and not gfile.listdir(str(self)):
                gfile.rmtree(str(self))

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[Any]:
        """Yields `tf.io.gfile`; what it raises is raised as the `OSError` that `pathlib` would raise."""
        try:
            import tensorflow as tf
        except ImportError:
            raise UserError(f"{self}: is opened by TensorFlow; install it, or copy the files to this machine") from None
        try:
            yield tf.io.gfile
        except tf.errors.OpError as error:
            text = error.message.splitlines()[0] if error.message else type(error).__name__
            if isinstance(error, tf.errors.UnimplementedError):
                scheme = str(self).partition("://")[0]
                text = (
                    f"TensorFlow opens no {scheme}:// by itself; install what does, for s3:// for instance 'pip "
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
    """A file that `tf.io.gfile` opened, as Python's own streams are."""

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


AnyPath = Path | Address


def path_of(path: str | os.PathLike[str] | Address) -> AnyPath:
    """The `Path` or `Address` that `path` means.

    Args:
        path: str, `Path` or `Address`. An address that went through `pathlib` and lost a slash is understood too.

    Example:
        >>> path_of("gs://bucket/records"), path_of(Path("gs://bucket/records"))
        (Address('gs://bucket/records'), Address('gs://bucket/records'))
        >>> path_of("records").name
        'records'
    """
    if isinstance(path, Address):
        return path
    text = os.fspath(path)
    if "://" in text:
        return Address(text)
    found = _ADDRESS_AS_PATH.fullmatch(text)
    if found and not Path(text).exists():
        return Address(f"{found[1]}://{'/' * (found[1] == 'file')}{found[2]}")
    return Path(text)


def files_below(folder: AnyPath) -> list[AnyPath]:
    """The files of a folder and of the folders below it, in order."""
    if isinstance(folder, Address):
        return list(folder.walk_files())
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def listed(paths: str | os.PathLike[str] | Address | Iterable[str | os.PathLike[str] | Address]) -> list[Any]:
    """`paths` as a list: a single path is a list of one, not of its letters.

    Example:
        >>> listed("text.txt"), listed(["a.txt", Path("b.txt")])[0]
        (['text.txt'], 'a.txt')
    """
    return [paths] if isinstance(paths, (str, os.PathLike, Address)) else list(paths)


def cache_folder() -> Path:
    """This user's folder for what can be made again: `$KERAS_BERT_CACHE`, or else `~/.cache/keras_bert_scratch`."""
    return Path(os.environ.get("KERAS_BERT_CACHE") or Path.home() / ".cache" / "keras_bert_scratch")


@contextlib.contextmanager
def reading(path: str | os.PathLike[str] | Address) -> Iterator[None]:
    """Turns the ways in which `path` cannot be read into a `UserError` that names it.

    Example:
        >>> with reading("sky.txt"):
        ...     Path("sky.txt").read_text()
        Traceback (most recent call last):
        ...
        keras_bert_scratch.errors.UserError: sky.txt: no such file or folder; check the path
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder; check the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


@contextlib.contextmanager
def writing(address: Address) -> Iterator[None]:
    """Turns the ways in which an address cannot be written into a `UserError` that names it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{address}: cannot be written ({reason}); check the address and your rights there") from error
