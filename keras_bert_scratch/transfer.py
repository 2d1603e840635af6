"""Upload and download of files and folders between this machine and addresses such as `gs://bucket/model`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from keras_bert_scratch.address import Address, Status
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, files_below, path_of, reading, writing
from keras_bert_scratch.hub.address import HubAddress

COPIED_BYTES = 8 << 20
PARTIAL = ".partial-"  # begins the name of a file while it is uploaded; a writer that died leaves it
# Readers recognise a model, records or a SavedModel by these files. They are deleted first and uploaded last, so that
# readers reject a folder whose writer died, instead of reading a mixture of old and new files.
RECOGNISED_BY = ("config.json", "bert_config.json", "manifest.json", "saved_model.pb")


def upload_file(source: Path, target: Address) -> None:
    """Copies a local file to an address; an existing file there is replaced when the copy is complete.

    Raises:
        UserError: the address cannot be written.
    """
    partial = target.parent / f"{PARTIAL}{target.name}"
    with writing(target):
        target.parent.mkdir()
        with source.open("rb") as content, partial.open("wb") as file:
            shutil.copyfileobj(content, file, COPIED_BYTES)
        partial.rename(target)


def upload_folder(folder: Path, target: Address, without: Collection[str] = ()) -> None:
    """Copies the files of a folder to an address, where they replace the files of the same names.

    The files named `without` are deleted there.

    A folder at an address cannot be replaced by renaming. Until the last file is uploaded, readers do not recognise the
    folder as a model, records or a SavedModel.

    Raises:
        UserError: the address cannot be written.
    """
    names = [file.relative_to(folder).as_posix() for file in files_below(folder)]
    names.sort(key=lambda name: name in RECOGNISED_BY)
    with writing(target):
        for name in (*reversed(names), *without):
            if (target / name).exists():
                (target / name).unlink()
    for name in names:
        upload_file(folder / name, target / name)


@contextlib.contextmanager
def folder_for(target: Address) -> Iterator[Path]:
    """Yields a local folder to fill; its files are uploaded to `target` when the block ends without an error."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
        upload_folder(Path(folder), target)


def download_file(source: Address, target: Path) -> None:
    """Copies a file at an address to this machine.

    Raises:
        UserError: the address cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with reading(source), source.open() as content, target.open("wb") as file:
        shutil.copyfileobj(content, file, COPIED_BYTES)


def files_at(address: Address, folders: Collection[str] = ()) -> dict[str, Status]:
    """The files of a folder at an address and of its subfolders `folders`, by their names relative to the address.

    Example:
        >>> (Address("ram://model") / "config.json").write_bytes(b"{}")
        >>> [(name, status.st_size) for name, status in files_at(Address("ram://model")).items()]
        [('config.json', 2)]
    """
    found: dict[str, Status] = {}
    with reading(address):
        for entry in address.iterdir():
            below = entry.walk_files() if entry.name in folders else []
            for file in below if entry.is_dir() else [entry]:
                if not file.name.startswith(PARTIAL):
                    found[str(file).removeprefix(f"{address}/")] = file.stat()
    return found


@contextlib.contextmanager
def local_copy(path: str | Path | Address, files: Callable[[AnyPath], Collection[str]] = files_at) -> Iterator[Path]:
    """Yields a local folder with the files of the folder `path`: `path` itself, or a copy that lasts for the block.

    Files from a hub are downloaded into its cache and stay there. If a `UserError` raised in the block names a file of
    the copy, the message is changed to name the file at the address.

    Args:
        path: str, Path or Address. The folder.
        files: function, by default all files directly in the folder. Maps a folder to the names of the files that the
            block reads; other files are not copied.

    Raises:
        UserError: there is no such folder, or it cannot be read.

    Example:
        >>> (Address("ram://model") / "config.json").write_bytes(b"{}")
        >>> with local_copy("ram://model") as folder:
        ...     (folder / "config.json").read_text()
        '{}'
    """
    source = path_of(path)
    if isinstance(source, Path):
        yield source
        return
    with contextlib.ExitStack() as stack:
        if isinstance(source, HubAddress):
            copy = source.fetch(files(source))
        else:
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            there: dict[str, Status] | None = None
            while there != (now := _statuses(source, files)):  # repeats if another process replaced files meanwhile
                there = now
                shutil.rmtree(copy)
                copy.mkdir()
                for name in there:
                    download_file(source / name, copy / name)
        try:
            yield copy
        except UserError as error:
            raise type(error)(str(error).replace(str(copy), str(source))) from error


def _statuses(source: Address, files: Callable[[AnyPath], Collection[str]]) -> dict[str, Status]:
    with reading(source):
        return {name: (source / name).stat() for name in files(source)}


def read_text(path: AnyPath) -> str:
    """The text of a UTF-8 file, local or at an address, without a byte order mark."""
    return path.read_bytes().decode("utf-8-sig")
