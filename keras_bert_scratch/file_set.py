"""Files of a folder that are replaced together: a reader sees all old ones or all new ones, whenever a writer dies.

A folder may hold other files as well (`run.json`, states), so it cannot be replaced as a whole. New files are written
into a subfolder, flushed to the disk, and the subfolder is renamed to `.committed`: from that moment on they count.
Then each is moved to its place. Readers look into `.committed` first; a writer that finds one finishes the moves.

Addresses such as `gs://bucket/model` have no such renaming; there, a folder whose writer died is none that a reader
takes for a model.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_bert_scratch.atomic import to_disk
from keras_bert_scratch.errors import writing_to
from keras_bert_scratch.filesystem import Address, AnyPath, path_of, path_to_write
from keras_bert_scratch.transfer import folder_for

STAGED, COMMITTED = ".staged", ".committed"


@contextlib.contextmanager
def replaced_together(directory: AnyPath | str) -> Iterator[Path]:
    """Yields a folder to write files into; when the block ends well, they replace those of their names in `directory`.

    Not one of them is replaced when the block raises, or when the process or the machine dies before all are written.
    Blocks may be nested: the inner one's files become the outer one's.

    Args:
        directory: the folder; made if it is not there. Files of other names stay as they are.

    Example:
        >>> with replaced_together("model") as staged:
        ...     _ = (staged / "config.json").write_text("{}")
        >>> current_file("model", "config.json").read_text()
        '{}'
    """
    directory = path_to_write(directory)
    if isinstance(directory, Address):
        with folder_for(directory) as staged:
            yield staged
        return
    staged = directory / STAGED
    with writing_to(directory, staged):
        directory.mkdir(parents=True, exist_ok=True)
        _finish(directory)
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        try:
            yield staged
            for file in staged.iterdir():
                to_disk(file)
            to_disk(staged)
            staged.rename(directory / COMMITTED)
            to_disk(directory)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        _finish(directory)


def current_file(directory: AnyPath | str, name: str) -> AnyPath:
    """Where to read the file `name` of `directory`: not in its place if a writer died while moving it there."""
    directory = path_of(directory)
    committed = directory / COMMITTED / name
    return committed if isinstance(directory, Path) and committed.exists() else directory / name


def _finish(directory: Path) -> None:
    """Moves the files of an earlier, complete block to their places."""
    committed = directory / COMMITTED
    if committed.exists():
        for file in sorted(committed.iterdir()):
            file.replace(directory / file.name)
        to_disk(directory)
        committed.rmdir()
