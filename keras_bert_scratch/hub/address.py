"""HubAddress: a file or folder of a repository on the Hugging Face Hub, with the methods of `pathlib.Path`."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NoReturn

from keras_bert_scratch.address import BUFFER_BYTES, Address, Status
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.hub.snapshot import DEFAULT_BRANCH, Snapshot, snapshot_of

SCHEME = "hf"
FORM = "hf://owner/name, hf://owner/name@revision or hf://owner/name@revision/folder"
# A revision has no slash, except those that the hub itself creates, such as refs/pr/7.
_ADDRESS = re.compile(
    r"(?:models/)?(?P<repository>[^/@]+(?:/[^/@]+)?)(?:@(?P<revision>refs/[a-z]+/[^/@]+|[^/@]+))?(?:/(?P<inside>[^@/][^@]*))?"
)
OTHER_KINDS = ("datasets", "spaces", "kernels", "buckets")


def repository_of(address: str) -> str | None:
    """The repository that an address names, `owner/name`; `None` for other paths.

    Example:
        >>> repository_of("hf://google/electra-small@main"), repository_of("gs://bucket/model")
        ('google/electra-small', None)
    """
    return HubAddress(address).repository if address.startswith(f"{SCHEME}://") else None


class HubAddress(Address):
    """A file or folder of a model's repository on the Hugging Face Hub; read-only.

    A branch or tag is resolved once per process, so all files are from one commit. A file is downloaded when it is
    first opened, into the cache of `huggingface_hub`; from then on it is read from there.

    Args:
        address: str. `hf://owner/name`, with a branch, tag or commit `hf://owner/name@revision`, and optionally
            a folder or file after it. The oldest models of the hub have no owner: `hf://bert-base-uncased`.
        commit: str or None, default None. The commit to read, instead of the one that the revision points to now.

    Attributes:
        repository: str. `owner/name`.

    Raises:
        UserError: the address is malformed; at the first access to its content: there is no such repository or
            revision, access is denied, or the hub cannot be reached and the cache does not hold it.

    Example:
        >>> HubAddress("hf://google-bert/bert-base-uncased@main") / "config.json"
        HubAddress('hf://google-bert/bert-base-uncased@main/config.json')
    """

    def __init__(self, address: str, commit: str | None = None) -> None:
        super().__init__(address)
        found = _ADDRESS.fullmatch(str(self).partition("://")[2])
        if found is None:
            raise UserError(f"{address}: is not a valid address of a model; write {FORM}")
        self.repository, self._revision, self._inside = found["repository"], found["revision"], found["inside"] or ""
        if (kind := self.repository.partition("/")[0]) in OTHER_KINDS:
            raise UserError(f"{address}: is an address of {kind}, but only models can be read; write {FORM}")
        self._commit = commit

    @property
    def _snapshot(self) -> Snapshot:
        return snapshot_of(self.repository, self._commit or self._revision)

    @property
    def commit(self) -> str:
        """The hash of the commit that is read."""
        return self._commit or self._snapshot.commit

    @property
    def is_partly_known(self) -> bool:
        """Whether the hub could not be queried, so that only the files in the cache are known."""
        return self._snapshot.is_partly_known

    def at(self, commit: str) -> HubAddress:
        """The same address at the commit `commit`."""
        return HubAddress(str(self), commit)

    def fetch(self, names: Collection[str]) -> Path:
        """A folder on this machine that holds at least the files `names` of this folder.

        Files that are not in the cache are downloaded, with a progress bar on stderr.
        """
        prefix = f"{self._inside}/" if self._inside else ""
        self._snapshot.download([f"{prefix}{name}" for name in names])
        return self._snapshot.folder / self._inside

    def __truediv__(self, name: str) -> HubAddress:
        # Without owner and revision, a name after the repository would be parsed as part of the repository's name.
        plain = "/" not in self.repository and not self._revision
        return HubAddress(f"{self}{f'@{DEFAULT_BRANCH}' * plain}/{name}", self._commit)

    def exists(self) -> bool:
        return self._inside in self._snapshot.files or self.is_dir()

    def is_dir(self) -> bool:
        return not self._inside or any(name.startswith(f"{self._inside}/") for name in self._snapshot.files)

    def iterdir(self) -> Iterator[HubAddress]:
        here = PurePosixPath(self._inside)
        below = [PurePosixPath(name) for name in self._snapshot.files]
        names = {path.relative_to(here).parts[0] for path in below if path != here and path.is_relative_to(here)}
        if not names:
            raise self._not_found()
        yield from (self / name for name in sorted(names))

    def walk_files(self) -> Iterator[HubAddress]:
        for entry in self.iterdir():
            yield from entry.walk_files() if entry.is_dir() else (entry,)

    def matching(self) -> list[Address]:
        return []

    def stat(self) -> Status:
        if self._inside not in self._snapshot.files:
            raise self._not_found()
        return Status(self._snapshot.files[self._inside], 0)

    def open(self, mode: str = "rb", buffering: int = BUFFER_BYTES) -> BinaryIO:
        if mode != "rb":
            self.refuse_writing()
        if self._inside not in self._snapshot.files:
            raise self._not_found()
        return self._snapshot.file(self._inside).open("rb", max(1, buffering))

    def refuse_writing(self) -> NoReturn:
        """Raises `UserError`, because an address of a hub is read-only."""
        raise UserError(f"{self}: a hub cannot be written to; write into a folder, then upload it with 'hf upload'")

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[Any]:
        self.refuse_writing()  # every method that is not overridden above writes
        yield

    def _not_found(self) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, "no such file or folder in the repository", str(self))
