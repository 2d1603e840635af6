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
# A revision has no slash, except those that the hub makes itself: refs/pr/7.
_ADDRESS = re.compile(
    r"(?:models/)?(?P<repository>[^/@]+(?:/[^/@]+)?)(?:@(?P<revision>refs/[a-z]+/[^/@]+|[^/@]+))?(?:/(?P<inside>[^@/][^@]*))?"
)
OTHER_KINDS = ("datasets", "spaces", "kernels", "buckets")


def repository_of(address: str) -> str | None:
    """The repository that an address names, `owner/name`; of other paths `None`.

    Example:
        >>> repository_of("hf://google/electra-small@main"), repository_of("gs://bucket/model")
        ('google/electra-small', None)
    """
    return HubAddress(address).repository if address.startswith(f"{SCHEME}://") else None


class HubAddress(Address):
    """A file or folder of a model's repository on the Hugging Face Hub, which is only read.

    A branch or tag is looked up once in a process, so all files are of one commit. A file comes to this machine when it
    is opened, into the cache of `huggingface_hub`, and from then on it is opened there.

    Args:
        address: str. `hf://owner/name`, with a branch, tag or commit `hf://owner/name@revision`, and perhaps a folder
            or file behind it. Models of the hub's first days have no owner: `hf://bert-base-uncased`.
        commit: str or None, default None. The commit to read, instead of the one that the revision means now.

    Attributes:
        repository: str. `owner/name`.

    Raises:
        UserError: it is no such address; at the first look at its content, there is no such repository or revision,
            it may not be read, or the hub cannot be reached and the cache does not hold it.

    Example:
        >>> HubAddress("hf://google-bert/bert-base-uncased@main") / "config.json"
        HubAddress('hf://google-bert/bert-base-uncased@main/config.json')
    """

    def __init__(self, address: str, commit: str | None = None) -> None:
        super().__init__(address)
        found = _ADDRESS.fullmatch(str(self).partition("://")[2])
        if found is None:
            raise UserError(f"{address}: is no address of a model; write {FORM}")
        self.repository, self._revision, self._inside = found["repository"], found["revision"], found["inside"] or ""
        if (kind := self.repository.partition("/")[0]) in OTHER_KINDS:
            raise UserError(f"{address}: is of {kind}, and only models are read from a hub; write {FORM}")
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
        """Whether the hub cannot be asked, so that only the files in the cache are seen."""
        return self._snapshot.is_partly_known

    def at(self, commit: str) -> HubAddress:
        """The same address, of which the commit `commit` is read."""
        return HubAddress(str(self), commit)

    def fetch(self, names: Collection[str]) -> Path:
        """The folder of this machine that holds, at least, the files `names` of this folder.

        What the cache lacks is downloaded, with a bar on stderr.
        """
        prefix = f"{self._inside}/" if self._inside else ""
        self._snapshot.download([f"{prefix}{name}" for name in names])
        return self._snapshot.folder / self._inside

    def __truediv__(self, name: str) -> HubAddress:
        # Without an owner and a revision, a name behind the repository would be taken for it.
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
        """Raises `UserError`, as an address of a hub is only read."""
        raise UserError(f"{self}: a hub is only read here; write into a folder, and upload that with 'hf upload'")

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[Any]:
        self.refuse_writing()  # what is not defined above writes
        yield

    def _not_found(self) -> FileNotFoundError:
        return FileNotFoundError(errno.ENOENT, "no such file or folder in the repository", str(self))
