"""Snapshot: the files of a repository on the Hugging Face Hub at one commit, and downloading them."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.hub.errors import hub_errors, transfer_errors
from keras_bert_scratch.progress import ProgressBar
from keras_bert_scratch.version import VERSION

LIBRARY = {"library_name": "keras_bert_scratch", "library_version": VERSION}
DEFAULT_BRANCH = "main"
SHA256 = re.compile("[0-9a-f]{64}")

log = logging.getLogger(__name__)


def _library() -> Any:
    try:
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError:
        raise UserError(
            "hf:// addresses are read by huggingface_hub, which is missing; pip install 'keras_bert_scratch[hub]'"
        ) from None
    return huggingface_hub


def snapshot_of(repository: str, revision: str | None) -> Snapshot:
    """The repository at the commit that the revision points to; resolved once per process.

    Args:
        repository: str. `owner/name`.
        revision: str or None. A branch, tag or commit; `None` for the default branch.
    """
    return _snapshot_of(repository, revision or DEFAULT_BRANCH, os.environ.get("HF_ENDPOINT"))


@functools.cache
def _snapshot_of(repository: str, revision: str, endpoint: str | None) -> Snapshot:
    return Snapshot(repository, revision, endpoint)


class Snapshot:
    """The files of a repository at one commit.

    Args:
        repository: str. `owner/name`.
        revision: str. A branch, tag or commit.
        endpoint: str or None. URL of the hub; `None` for the default of `huggingface_hub`.

    Attributes:
        commit: str. The hash of the commit.
        files: dict. The size of each file in bytes, by path.
        is_partly_known: bool. Whether the hub could not be queried, so that `files` are only those in the cache.

    Raises:
        UserError: there is no such repository or revision, access is denied, or the hub cannot be reached and the
            cache does not hold it.
    """

    def __init__(self, repository: str, revision: str, endpoint: str | None) -> None:
        self._hub = _library()
        self._repository, self._endpoint = repository, endpoint
        self._title = f"hf://{repository}{f'@{revision}' * (revision != DEFAULT_BRANCH)}"
        api = self._hub.HfApi(endpoint=endpoint, **LIBRARY)
        with hub_errors(self._title):
            offline = self._hub.constants.is_offline_mode()
            self.commit = api.resolve_revision(repository, revision=revision, local_files_only=offline).resolved
            try:
                # Not `list_repo_tree`: without a network it retries for half a minute.
                told = api.model_info(repository, revision=self.commit, files_metadata=True)
                self.files = {file.rfilename: file.size or 0 for file in told.siblings or ()}
                self.is_partly_known = False
            except Exception as error:
                if (folder := self._cached_folder()) is None:
                    raise
                if not offline:
                    log.warning(
                        "%s: the hub returned no list of files (%s); the cache is used",
                        self._title,
                        type(error).__name__,
                    )
                found = [file for file in folder.rglob("*") if file.is_file()]
                self.files = {file.relative_to(folder).as_posix(): file.stat().st_size for file in found}
                self.is_partly_known = True

    @property
    def folder(self) -> Path:
        """The folder of the cache with the files that were downloaded."""
        folder = self._cached_folder()
        assert folder is not None, "requested before anything was downloaded"
        return folder

    def _cached_folder(self) -> Path | None:
        errors = self._hub.errors
        try:
            found = self._hub.snapshot_download(self._repository, revision=self.commit, local_files_only=True)
        except errors.IncompleteSnapshotError as error:  # the cache need not hold all files
            found = error.snapshot_path
        except errors.LocalEntryNotFoundError:
            return None
        return Path(found)

    def file(self, name: str) -> Path:
        """The path of the file `name` on this machine; it is downloaded if necessary."""
        return self._downloaded(name, lambda count: None)

    def download(self, names: Collection[str]) -> None:
        """Downloads the files that are not in the cache, with a progress bar on stderr."""
        missing = {name: self.files.get(name, 0) for name in names if self._cached(name) is None}
        total = sum(missing.values())
        self._check_space(total)
        if not missing:
            return
        with ProgressBar(self._title) as bar:
            add = bar.counter(total)
            for name in missing:
                self._downloaded(name, add)

    def _cached(self, name: str) -> Path | None:
        """The file in the cache, if it has the right size."""
        found = self._hub.try_to_load_from_cache(self._repository, name, revision=self.commit)
        whole = isinstance(found, str) and Path(found).stat().st_size == self.files.get(name)
        return Path(found) if whole else None

    def _downloaded(self, name: str, add: Callable[[int], None]) -> Path:
        if (cached := self._cached(name)) is not None:
            return cached
        address = f"{self._title}: {name}"
        with transfer_errors(address), hub_errors(address):
            found = self._hub.hf_hub_download(
                self._repository,
                name,
                revision=self.commit,
                endpoint=self._endpoint,
                tqdm_class=_counting(add),
                # If there is a file in the cache, it has the wrong size.
                force_download=bool(self._hub.try_to_load_from_cache(self._repository, name, revision=self.commit)),
                **LIBRARY,
            )
        self._check_hash(Path(found), name)
        return Path(found)

    def _check_hash(self, file: Path, name: str) -> None:
        """Raises `UserError` unless a large file has the hash that is its name in the cache."""
        if not file.is_symlink():  # a cache on a disk without symbolic links
            return
        blob = file.parent / file.readlink()
        if not SHA256.fullmatch(blob.name):  # small files have other names
            return
        with blob.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() == blob.name:
                return
        file.unlink()
        blob.unlink()
        raise UserError(
            f"{self._title}: {name} is damaged: its SHA-256 differs from the hub's; run again to download it again"
        )

    def _check_space(self, size: int) -> None:
        cache = Path(self._hub.constants.HF_HUB_CACHE)
        there = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
        if (free := shutil.disk_usage(there).free) < size:
            raise UserError(
                f"{self._title}: needs {size / 1e6:,.2f} MB, and the disk of {cache} has {free / 1e6:,.2f} MB left; "
                f"free some space, or set HF_HUB_CACHE to a folder on another disk"
            )


def _counting(add: Callable[[int], None]) -> type:
    """A class that `huggingface_hub` uses as tqdm's progress bar; it passes the numbers of bytes to `add`."""

    class Counting:
        def __init__(self, *args: Any, initial: int = 0, **kwargs: Any) -> None:
            add(initial)

        def update(self, count: int = 1) -> None:
            add(count)

        def update_transfer(self, count: int) -> None:
            """Ignores bytes on the network: `update` counts them when they are written."""

        def set_postfix_str(self, text: str, refresh: bool = False) -> None:
            """Ignores the speed: our bar computes its own."""

        set_transfer_postfix_str = set_postfix_str

        def __enter__(self) -> Counting:
            return self

        def __exit__(self, *error: Any) -> None:
            pass

    return Counting
