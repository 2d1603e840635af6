"""A folder of records in the making: whole under its name, or not there.

On this machine the folder gets its name when it is whole, by one renaming. Object stores cannot rename a folder: there
a folder is whole when it has its manifest, which is written last.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, cache_folder, path_of, reading, writing
from keras_bert_scratch.transfer import upload_file

MANIFEST_FILE = "manifest.json"
_FILES = ("*.tfrecord", MANIFEST_FILE, "vocab.txt", "tokenizer_config.json")


@contextlib.contextmanager
def continued_records(directory: str | Path | Address, plan: dict[str, Any]) -> Iterator[Path]:
    """Yields a local folder to fill, and gives its files to `directory` when the block ends well.

    A block that did not end well, or was killed, finds its files again when it is called with the same `plan`. Folders
    in the yielded folder are for the work and are removed at the end. For an address, the yielded folder lies in the
    user's cache, and its files are copied when all are there, the manifest last.

    Args:
        directory: str or path. It must not exist yet, be empty, or at an address hold the files of an upload that was
            interrupted.
        plan: dict. Everything that decides what will be in the folder, as JSON can hold it.

    Raises:
        UserError: something is at `directory`, or it cannot be written.
    """
    target = path_of(directory)
    if isinstance(target, Path):
        with atomic.continue_folder(target, plan) as folder:
            yield folder
            _remove_folders(folder)
        return
    check_is_free(target)
    local = cache_folder() / "uploads" / hashlib.sha256(str(target).encode()).hexdigest()[:16]
    if local.exists():
        shutil.rmtree(local)  # of an upload that was interrupted after its last file
    with atomic.continue_folder(local, {**plan, "address": str(target)}) as folder:
        yield folder
        with writing(target):
            for file in target.iterdir() if target.is_dir() else ():
                file.unlink()
        files = [file for pattern in _FILES for file in sorted(folder.glob(pattern))]
        for file in sorted(files, key=lambda file: file.name == MANIFEST_FILE):
            upload_file(file, target / file.name)
        _remove_folders(folder)
    shutil.rmtree(local)


def check_is_free(target: Address) -> None:
    """Raises `UserError` if records, or other files than an interrupted upload leaves, are at an address."""
    with reading(target):
        there = list(target.iterdir()) if target.exists() else []
    if any(file.name == MANIFEST_FILE or not _is_ours(file.name) for file in there):
        raise UserError(f"{target}: exists already; delete it or choose another folder")


def _is_ours(name: str) -> bool:
    return any(Path(name.removeprefix(".partial-")).match(pattern) for pattern in _FILES)


def _remove_folders(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)


@contextlib.contextmanager
def new_file(path: AnyPath) -> Iterator[BinaryIO]:
    """A stream of bytes to write; the file is there only when the block has ended well."""
    with atomic.write(path) as temporary, temporary.open("wb") as file:
        yield file
