"""Local paths and addresses such as `gs://bucket/records`, with the same methods.

`path_of` returns a `pathlib.Path` for a local path and an `Address` for an address; `Address` has the methods of `Path`
that this library uses. TensorFlow's file systems (`tf.io.gfile`) open addresses, `huggingface_hub` those that begin
with `hf://`; both libraries are imported only when such an address is used.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from keras_bert_scratch.address import Address
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.hub.address import SCHEME, HubAddress

# `pathlib` collapses two slashes into one: str(Path("gs://bucket")) is "gs:/bucket".
_ADDRESS_AS_PATH = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)")


AnyPath = Path | Address


def path_of(path: str | os.PathLike[str] | Address) -> AnyPath:
    """The `Path` or `Address` for `path`; nothing is opened and no server is contacted.

    Args:
        path: str, `Path` or `Address`. An address that lost a slash in `pathlib` is accepted too.

    Example:
        >>> path_of("gs://bucket/records"), path_of(Path("gs://bucket/records"))
        (Address('gs://bucket/records'), Address('gs://bucket/records'))
        >>> path_of("hf://google-bert/bert-base-uncased")
        HubAddress('hf://google-bert/bert-base-uncased')
        >>> path_of("records").name
        'records'
    """
    if isinstance(path, Address):
        return path
    text = os.fspath(path)
    if "://" in text:
        return _address(text)
    if text == f"{SCHEME}:":  # restores the address, so that the error shows it
        return _address(f"{SCHEME}://")
    found = _ADDRESS_AS_PATH.fullmatch(text)
    if found and not Path(text).exists():
        return _address(f"{found[1]}://{'/' * (found[1] == 'file')}{found[2]}")
    return Path(text)


def path_to_write(path: str | os.PathLike[str] | Address) -> AnyPath:
    """Like `path_of`, for a path that will be written.

    Raises:
        UserError: it is on a hub, which this library only reads.
    """
    found = path_of(path)
    if isinstance(found, HubAddress):
        found.refuse_writing()
    return found


def _address(text: str) -> Address:
    return HubAddress(text) if text.startswith(f"{SCHEME}://") else Address(text)


def name_of(path: AnyPath) -> str:
    """The last part of a path; of `.` and `..`, which have no name of their own, the folder's name.

    Example:
        >>> name_of(Path("runs/a")), name_of(Path.cwd() / "..") == Path.cwd().parent.name
        ('a', True)
    """
    if isinstance(path, Address) or path.name not in ("", ".."):
        return path.name
    return path.resolve().name or str(path)


def files_below(folder: AnyPath) -> list[AnyPath]:
    """All files in a folder and its subfolders, sorted."""
    if isinstance(folder, Address):
        return list(folder.walk_files())
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def names_in(folder: AnyPath, most: int = 8) -> str:
    """The names of a folder's entries, for an error about a missing file.

    Example:
        >>> _ = Path("vocab.txt").write_text("[PAD]")
        >>> names_in(Path())
        'vocab.txt'
    """
    names = sorted(entry.name for entry in folder.iterdir())
    told = ", ".join(names[:most]) + f" and {len(names) - most} more" * (len(names) > most)
    if isinstance(folder, HubAddress) and folder.is_partly_known:
        told += " in the cache, and the hub cannot be reached"
    return told or "nothing"


def listed(paths: str | os.PathLike[str] | Address | Iterable[str | os.PathLike[str] | Address]) -> list[Any]:
    """`paths` as a list; a single path becomes a list of one.

    Example:
        >>> listed("text.txt"), listed(["a.txt", Path("b.txt")])[0]
        (['text.txt'], 'a.txt')
    """
    return [paths] if isinstance(paths, (str, os.PathLike, Address)) else list(paths)


def cache_folder() -> Path:
    """This user's cache folder: `$KERAS_BERT_CACHE` if it is set, else `~/.cache/keras_bert_scratch`."""
    return Path(os.environ.get("KERAS_BERT_CACHE") or Path.home() / ".cache" / "keras_bert_scratch")


@contextlib.contextmanager
def reading(path: str | os.PathLike[str] | Address) -> Iterator[None]:
    """Converts errors in reading `path` to a `UserError` that names it.

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
    """Converts errors in writing to an address to a `UserError` that names it."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{address}: cannot be written ({reason}); check the address and your rights there") from error
