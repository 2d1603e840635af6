"""A file as a stream of bytes: local or at an address, decompressed while it is read, never as a whole in memory."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of, reading

COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard"}
INSTALL_CORPORA = "install it with \"pip install 'keras_bert_scratch[corpora]'\""


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A stream of the bytes of the file at `path`, decompressed if it has a suffix such as `.gz`.

    Args:
        path: str. A local path or an address.

    Raises:
        UserError: on opening or while reading: the file cannot be read, or compressed data are truncated or damaged.

    Example:
        >>> _ = Path("sky.txt.gz").write_bytes(gzip.compress(b"The sky is blue."))
        >>> with opened("sky.txt.gz") as stream:
        ...     stream.read()
        b'The sky is blue.'
    """
    compression = compression_of(path)
    with reading(path):
        try:
            with path_of(path).open("rb") as packed, _decompressed(packed, compression, path) as stream:
                yield stream
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise _damaged(path, compression, error) from None
        except OSError as error:
            if error.errno is None and compression:  # how gzip and bzip2 report data in another format
                raise _damaged(path, compression, error) from None
            raise


def compression_of(path: str) -> str:
    """The name of the compression that the suffix of `path` stands for; empty if none."""
    return COMPRESSIONS.get(Path(path).suffix.lower(), "")


def _decompressed(packed: BinaryIO, compression: str, path: str) -> Any:
    if compression == "gzip":
        return gzip.open(packed)
    if compression == "bzip2":
        return bz2.open(packed)
    if compression == "xz":
        return lzma.open(packed)
    if compression == "zstandard":
        return _zstandard(packed, path)
    return contextlib.nullcontext(packed)


@contextlib.contextmanager
def _zstandard(packed: BinaryIO, path: str) -> Iterator[BinaryIO]:
    try:
        import backports.zstd as zstd
    except ImportError:
        raise UserError(f"{path}: reading it needs the package 'backports.zstd'; {INSTALL_CORPORA}") from None
    try:
        with zstd.open(packed) as stream:
            yield stream
    except zstd.ZstdError as error:
        raise _damaged(path, "zstandard", error) from None


def _damaged(path: str, compression: str, error: Exception) -> UserError:
    return UserError(f"{path}: is not a valid {compression} file, or is truncated ({error}); download it again")
