"""Write aside, then rename: a file or folder is either whole and at its place, or not there at all."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError, writing_to

PLAN_FILE = "plan.json"


def _aside(path: Path) -> Path:
    """Where `path` is written first: on the same disk, and with its suffix, as HDF5 asks."""
    return path.with_name(f".partial-{path.name}")


@contextlib.contextmanager
def written_file(path: Path | str) -> Iterator[Path]:
    """Yields a place to write; moves it to `path` when the block ends well, removes it when it does not.

    Example:
        >>> with written_file("notes.txt") as place:
        ...     _ = place.write_text("whole or absent")
    """
    path = Path(path)
    aside = _aside(path)
    with writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextlib.contextmanager
def written_folder(path: Path | str) -> Iterator[Path]:
    """The same for a whole folder. `path` must not exist yet, or be empty."""
    path = Path(path)
    aside = _aside(path)
    _check_is_free(path)
    with writing_to(path):
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            yield aside
            aside.replace(path)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def continued_folder(path: Path | str, plan: dict[str, Any]) -> Iterator[Path]:
    """Yields a folder beside `path` to fill, step by step, and moves it to `path` when the block ends well.

    When the block does not end well, or the process is killed, the files that are there stay: the next call with the
    same `plan` yields them again. One with another plan starts anew.

    Args:
        path: must not exist yet, or be an empty folder.
        plan: all that decides what will be in the folder, as JSON can hold it.

    Raises:
        UserError: something is at `path`, or it cannot be written.
    """
    path = Path(path)
    aside = _aside(path)
    plan_file = aside / PLAN_FILE
    _check_is_free(path)
    with writing_to(path):
        text = json.dumps(plan, sort_keys=True, ensure_ascii=False)
        if not plan_file.exists() or plan_file.read_text(encoding="utf-8") != text:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
        try:
            write_text(plan_file, text)
            yield aside
            plan_file.unlink()
            aside.replace(path)
        finally:
            if not any(file.is_file() and file != plan_file for file in aside.rglob("*")):
                shutil.rmtree(aside, ignore_errors=True)  # nothing worth keeping


def _check_is_free(path: Path) -> None:
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: exists already; delete it or choose another folder")


def write_text(path: Path | str, text: str) -> None:
    """Writes `text` to `path` as UTF-8, whole or not at all."""
    with written_file(path) as place:
        place.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: Any) -> None:
    """Writes `value` to `path` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
