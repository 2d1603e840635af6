"""ModelStore: the served models, each with its newest versions, which are loaded and dropped while the server runs."""

from __future__ import annotations

import dataclasses
import gc
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, files_below, path_of
from keras_bert_scratch.serving.server.request_error import RequestError
from keras_bert_scratch.serving.server.served_model import ServedModel
from keras_bert_scratch.serving.versions import SAVED_MODEL_FILE, versions_of

log = logging.getLogger(__name__)

Load = Callable[[AnyPath, str, int], ServedModel]  # from a folder, the model's name and the version's number
Files = Mapping[str, tuple[int, int]]  # size and modification time, by path


@dataclasses.dataclass(frozen=True)
class Version:
    """A version that is served, with the files that it was loaded from."""

    model: ServedModel
    files: Files


class ModelStore:
    """The models that are served.

    `refresh` checks the folders. It loads versions that are new or changed, once their files are stable, and then
    replaces the older ones, which answer until then. A version that cannot be loaded is tried again when its files
    change.

    Args:
        folders: mapping. By name, the folder of a SavedModel, or of its versions 1, 2, 3...
        load: callable. Loads a version and warms it up.
        keep: int, default 1. How many of the highest versions are served.

    Raises:
        UserError: a model has no version, or one that cannot be loaded.
    """

    def __init__(self, folders: Mapping[str, AnyPath | str], load: Load, keep: int = 1) -> None:
        self._folders, self._load, self._keep = {name: path_of(path) for name, path in folders.items()}, load, keep
        self._versions: dict[str, Mapping[int, Version]] = {name: {} for name in folders}
        self._seen: dict[AnyPath, Files] = {}  # at the last check
        self._refused: dict[AnyPath, Files] = {}
        self.faults: dict[tuple[str, int], str] = {}  # the reason why a version is not served, by name and version
        for name, folder in self._folders.items():
            found = self._found(name)
            if not found:
                raise UserError(
                    f"{folder}: has no {SAVED_MODEL_FILE} and no version folders 1, 2... with one; export a model to it"
                )
            self._versions[name] = {
                number: Version(load(path, name, number), _files(path)) for number, path in found.items()
            }

    @property
    def names(self) -> list[str]:
        """The names of the models, in the order of `folders`."""
        return list(self._folders)

    def versions(self, name: str) -> Mapping[int, ServedModel]:
        """Returns the served versions of a model, by number.

        Raises:
            RequestError: there is no such model.
        """
        if name not in self._versions:
            known = ", ".join(self._versions)
            raise RequestError(HTTPStatus.NOT_FOUND, f"no model is called {name!r}; served models: {known}")
        return {number: version.model for number, version in self._versions[name].items()}

    def find(self, name: str, version: int | None = None) -> tuple[int, ServedModel]:
        """Returns the number of a version, by default the highest, and its model.

        Raises:
            RequestError: there is no such model or version.
        """
        served = self.versions(name)
        number = max(served) if version is None else version
        if number not in served:
            known = ", ".join(map(str, served))
            raise RequestError(
                HTTPStatus.NOT_FOUND, f"version {number} of {name!r} is not served; served versions: {known}"
            )
        return number, served[number]

    def refresh(self) -> None:
        """Checks once for changes; a new version is loaded at the check after the one that found it."""
        for name in self._folders:
            try:
                self._refresh(name)
            except OSError as error:  # the folder is temporarily missing, or its address does not answer
                log.warning("%s: %s; still serving its loaded versions", name, error)

    def _refresh(self, name: str) -> None:
        served, found = self._versions[name], self._found(name)
        self.faults = {key: text for key, text in self.faults.items() if key[0] != name or key[1] in found}
        available: dict[int, Version] = {}
        for number, path in found.items():
            files = _files(path)
            if number in served and served[number].files == files:
                available[number] = served[number]
            elif self._seen.get(path) == files != self._refused.get(path) and (
                version := self._loaded(name, number, path, files)
            ):
                available[number] = version
            self._seen[path] = files
        is_complete = found and available.keys() == found.keys()
        now = available if is_complete else {**served, **available}  # older ones stay until all newer ones are loaded
        if now != served:
            self._versions[name] = dict(sorted(now.items()))
            log.warning("%s: serving version %s", name, ", ".join(map(str, self._versions[name])))
            del served, available, now
            gc.collect()  # frees the memory of versions that are no longer served

    def _loaded(self, name: str, number: int, path: AnyPath, files: Files) -> Version | None:
        try:
            version = Version(self._load(path, name, number), files)
        except Exception as error:
            self._refused[path] = files
            self.faults[name, number] = str(error).splitlines()[0]
            log.warning("%s: version %d is not served: %s", name, number, self.faults[name, number])
            return None
        self.faults.pop((name, number), None)
        return version

    def _found(self, name: str) -> dict[int, AnyPath]:
        """Returns the folders of the highest complete versions, by number."""
        folder = self._folders[name]
        if (folder / SAVED_MODEL_FILE).exists():
            return {1: folder}
        whole = [number for number in versions_of(folder) if (folder / str(number) / SAVED_MODEL_FILE).exists()]
        return {number: folder / str(number) for number in whole[-self._keep :]}


def _files(folder: AnyPath) -> dict[str, tuple[int, int]]:
    status: dict[str, Any] = {str(file): file.stat() for file in files_below(folder)}
    return {name: (found.st_size, found.st_mtime_ns) for name, found in status.items()}
