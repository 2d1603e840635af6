"""Writing a folder of records: it is complete under its name, or absent.

On this machine the complete folder gets its name by one rename. Object stores cannot rename a folder: there a folder
is complete when it has its manifest, which is written last.
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
    """Yields a local folder to fill, and moves its files to `directory` when the block ends without an error.

    After an error or a kill the files stay, and the next call with the same `plan` yields them again. Subfolders of the
    yielded folder are temporary and are removed at the end. For an address, the yielded folder is in the user's cache,
    and its files are uploaded when all of them exist, the manifest last.

    Args:
        directory: str or path. It must not exist yet, or be empty; at an address it may also hold the files of an
            interrupted upload.
        plan: dict. Everything that determines the folder's content; serializable as JSON.

    Raises:
        UserError: `directory` exists already, or cannot be written.
        KeyboardInterrupt: Ctrl-C was pressed; the message says how to resume.
    """
    target = path_of(directory)
    try:
        if isinstance(target, Path):
            with atomic.continue_folder(target, plan) as folder:
                yield folder
        else:
            with _upload(target, plan) as folder:
                yield folder
    except KeyboardInterrupt as interrupt:
        message = str(interrupt) or f"{target}: interrupted; the same command resumes the build"
        raise KeyboardInterrupt(message) from None


@contextlib.contextmanager
def _upload(target: Address, plan: dict[str, Any]) -> Iterator[Path]:
    """Yields a folder in the cache, and uploads its files when the block ends without an error."""
    check_is_free(target)
    local = cache_folder() / "uploads" / hashlib.sha256(str(target).encode()).hexdigest()[:16]
    if local.exists():
        shutil.rmtree(local)  # left by an upload that was interrupted after its last file
    with atomic.continue_folder(local, {**plan, "address": str(target)}) as folder:
        yield folder
        with writing(target):
            for file in target.iterdir() if target.is_dir() else ():
                file.unlink()
        files = [file for pattern in _FILES for file in sorted(folder.glob(pattern))]
        for file in sorted(files, key=lambda file: file.name == MANIFEST_FILE):
            upload_file(file, target / file.name)
    shutil.rmtree(local)


def check_is_free(target: Address) -> None:
    """Raises `UserError` if an address holds records, or files that are not left by an interrupted upload."""
    with reading(target):
        there = list(target.iterdir()) if target.exists() else []
    if any(file.name == MANIFEST_FILE or not _is_ours(file.name) for file in there):
        raise UserError(f"{target}: exists already; delete it or choose another folder")


def _is_ours(name: str) -> bool:
    return any(Path(name.removeprefix(".partial-")).match(pattern) for pattern in _FILES)


@contextlib.contextmanager
def new_file(path: AnyPath) -> Iterator[BinaryIO]:
    """A stream of bytes to write; the file appears only when the block ends without an error."""
    with atomic.write(path) as temporary, temporary.open("wb") as file:
        yield file
