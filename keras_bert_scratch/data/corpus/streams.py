"""A file as a stream of bytes: local or behind a URL, unpacked on the way, never whole in memory."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from keras_bert_scratch.errors import UserError

COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstandard"}
INSTALL_CORPORA = "install it with \"pip install 'keras_bert_scratch[corpora]'\""


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """The bytes of the file at `path`, unpacked if its name says that it is compressed.

    Raises:
        UserError: on opening or while reading: it cannot be read, or its compressed data end early or are damaged.

    Example:
        >>> _ = Path("sky.txt.gz").write_bytes(gzip.compress(b"The sky is blue."))
        >>> with opened("sky.txt.gz") as stream:
        ...     stream.read()
        b'The sky is blue.'
    """
    compression = compression_of(path)
    try:
        with open_packed(path) as packed, _unpacked(packed, compression, path) as stream:
            yield stream
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, compression, error) from None
    except OSError as error:
        if error.errno is None and compression:  # so say gzip and bzip2 that they do not know what they read
            raise _damaged(path, compression, error) from None
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def compression_of(path: str) -> str:
    """The name of the compression that the end of `path` stands for; empty if none."""
    return next((name for suffix, name in COMPRESSIONS.items() if path.lower().endswith(suffix)), "")


def is_url(path: str) -> bool:
    """Whether TensorFlow's file systems, and not Python, open `path`."""
    return "://" in path


def open_packed(path: str) -> BinaryIO:
    """The bytes of the file at `path` as they lie there; the stream can seek."""
    return io.BufferedReader(_GFileReader(path), 1 << 20) if is_url(path) else Path(path).open("rb")


def _unpacked(packed: BinaryIO, compression: str, path: str) -> Any:
    if compression == "gzip":
        return gzip.open(packed)
    if compression == "bzip2":
        return bz2.open(packed)
    if compression == "xz":
        return lzma.open(packed)
    if compression == "zstandard":
        return io.BufferedReader(_ZstandardReader(packed, path))
    return contextlib.nullcontext(packed)


def _damaged(path: str, compression: str, error: Exception) -> UserError:
    return UserError(f"{path}: is not a whole {compression} file ({error}); fetch it again")


class _GFileReader(io.RawIOBase):
    """A file that `tf.io.gfile` opens, as Python's own streams are."""

    def __init__(self, path: str) -> None:
        import tensorflow as tf

        self._file = tf.io.gfile.GFile(path, "rb")
        self._errors = tf.errors.OpError

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._as_os_errors():
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with self._as_os_errors():
            self._file.seek(offset, whence)
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    @contextlib.contextmanager
    def _as_os_errors(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise OSError(errno.EIO, error.message.splitlines()[0]) from error


class _ZstandardReader(io.RawIOBase):
    """Unpacks Zstandard block by block, each at most 128 KB (RFC 8878, section 3.1.1).

    The library's own reader takes the early end of a file for its end; its other objects unpack without a limit.
    """

    def __init__(self, packed: BinaryIO, path: str) -> None:
        try:
            import zstandard
        except ImportError:
            raise UserError(f"{path}: reading it needs the package 'zstandard'; {INSTALL_CORPORA}") from None
        self._packed = packed
        self._library = zstandard
        self._blocks = self._unpacked_blocks()
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            while not self._block:
                self._block = memoryview(next(self._blocks))
        except StopIteration:
            return 0
        except self._library.ZstdError as error:
            raise EOFError(error) from None
        size = min(len(buffer), len(self._block))
        buffer[:size], self._block = self._block[:size], self._block[size:]
        return size

    def _unpacked_blocks(self) -> Iterator[bytes]:
        while self._packed.peek(1):
            head = self._exactly(5)
            if head[1:4] == b"\x2a\x4d\x18" and head[0] >> 4 == 5:  # a frame to be skipped
                self._exactly(int.from_bytes(head[4:] + self._exactly(3), "little"))
                continue
            head += self._exactly(self._library.frame_header_size(head) - len(head))
            frame = self._library.ZstdDecompressor().decompressobj()
            yield frame.decompress(head)
            last = 0
            while not last:
                block = self._exactly(3)
                number = int.from_bytes(block, "little")
                last, repeats_one_byte = number & 1, number >> 1 & 3 == 1
                yield frame.decompress(block + self._exactly(1 if repeats_one_byte else number >> 3))
            if self._library.get_frame_parameters(head).has_checksum:
                yield frame.decompress(self._exactly(4))

    def _exactly(self, size: int) -> bytes:
        data = self._packed.read(size)
        if len(data) < size:
            raise EOFError("it ends within a frame")
        return data
