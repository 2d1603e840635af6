"""Embedding files, NumPy's `.npz` or `.parquet`: written and read in constant memory."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.streams import INSTALL_CORPORA
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of

ENDINGS = (".npz", ".parquet")
TEXTS, LINES, TOKENS, NUM_TOKENS, ABOUT = "text", "line", "tokens", "num_tokens", "about"
VECTORS, TOKEN_VECTORS = "embedding", "token_embeddings"
ROWS_AT_ONCE = 4096
ROW_GROUP_NUMBERS = 1 << 20  # numbers per row group of a Parquet file

Write = Callable[[Mapping[str, Any], Mapping[str, Any]], None]


@contextlib.contextmanager
def embeddings_file(path: AnyPath | str, model: str) -> Iterator[Write]:
    """Yields a function that writes a row and its answer; the file appears when the block ends without an error.

    An `.npz` has `embedding`, float32 `(texts, size)`, or `(texts, layers, size)` for several layers; `line`, int64
    `(texts,)`; and `text`, the bytes of a JSON list of strings. Without pooling, `embedding` is replaced by
    `token_embeddings`, float32 `(tokens, size)` or `(tokens, layers, size)`, with the tokens of all texts concatenated;
    `num_tokens`, int64 `(texts,)`; and `tokens`, the bytes of a JSON list of lists. A `.parquet` has a row per text.

    Args:
        path: of the file to write; `.npz` or `.parquet`.
        model: str. The model's digest, which is stored in the file.

    Raises:
        UserError: `path` exists already, the disk is full, or pyarrow is missing.

    Example:
        >>> with embeddings_file("texts.npz", "a digest") as write:
        ...     write({"text": "Blue.", "line": 1}, {"embedding": [0.6, 0.8]})
        >>> found = np.load("texts.npz")
        >>> json.loads(found["text"].tobytes()), found["embedding"].round(1).tolist()
        (['Blue.'], [[0.6000000238418579, 0.800000011920929]])
    """
    atomic.check_is_free(path)
    kind = _Parquet if path_of(path).name.lower().endswith(".parquet") else _Npz
    with atomic.write(path) as temporary, kind(temporary) as writer:
        digest, count = hashlib.sha256(), 0

        def write(row: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
            nonlocal count
            if not {VECTORS, TOKEN_VECTORS} & answer.keys():
                raise UserError(f"{path}: {' and '.join(ENDINGS)} files hold only embeddings; name a .jsonl file")
            count += 1
            row = {LINES: count, **row}
            digest.update(_digest_input(row))
            writer.write(row, answer)

        yield write
        writer.finish({"model": model, "texts": digest.hexdigest(), "count": count})


def write_embeddings(answered: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], out: Path, model: Any) -> None:
    """Writes rows with their answers as they arrive.

    Args:
        answered: what `Predictor.predict_file` yields.
        out: of the file to write; `.npz` or `.parquet`.
        model: Predictor. The model that answered.
    """
    answered = iter(answered)
    first = list(itertools.islice(answered, 1))  # an error of the model is raised before the file is created
    with embeddings_file(out, model.digest) as write:
        for row, answer in itertools.chain(first, answered):
            write(row, answer)


def digest_of(rows: Iterator[Mapping[str, Any]]) -> tuple[str, int]:
    """The digest and the number of texts that a file of these rows' embeddings stores."""
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update(_digest_input(row))
        count += 1
    return digest.hexdigest(), count


def _digest_input(row: Mapping[str, Any]) -> bytes:
    return json.dumps([row[LINES], row[TEXTS]]).encode()


class Block(NamedTuple):
    """A block of rows of an embedding file."""

    texts: list[str]
    lines: list[int]
    vectors: np.ndarray


class EmbeddingIndex:
    """An `.npz` with one vector for each text, read in blocks.

    Args:
        path: of the file.

    Attributes:
        about: dict. The digests of the `model` and of the `texts`, and their `count`.

    Raises:
        UserError: the file is damaged, or not an `.npz` of this kind.
    """

    def __init__(self, path: AnyPath | str) -> None:
        self.path = path_of(path)
        with self._opened() as archive:
            names = set(archive.namelist())
            wanted = {f"{name}.npy" for name in (TEXTS, LINES, VECTORS, ABOUT)}
            if not wanted <= names:
                raise self._invalid_index("has no embeddings with their texts")
            self.about = json.loads(self._entry(archive, ABOUT)[1].read())
            shape = self._entry(archive, VECTORS)[0]
        if len(shape) != 2:
            raise self._invalid_index("has several vectors for each text")

    def blocks(self) -> Iterator[Block]:
        """Yields the rows in order, `ROWS_AT_ONCE` at a time."""
        with self._opened() as archive:
            (count, size), vectors = self._entry(archive, VECTORS)
            _, lines = self._entry(archive, LINES)
            _, texts = self._entry(archive, TEXTS)
            texts.readline()  # skips the opening bracket of the list
            for start in range(0, count, ROWS_AT_ONCE):
                rows = min(ROWS_AT_ONCE, count - start)
                yield Block(
                    [json.loads(texts.readline().rstrip(b",\n")) for _ in range(rows)],
                    np.frombuffer(lines.read(rows * 8), np.int64).tolist(),
                    np.frombuffer(vectors.read(rows * size * 4), np.float32).reshape(rows, size),
                )

    @contextlib.contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with self.path.open("rb") as file, zipfile.ZipFile(file) as archive:
                yield archive
        except UserError:
            raise
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise self._invalid_index(f"cannot be read ({error})") from None

    def _entry(self, archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], BinaryIO]:
        """The shape of an array, and a stream of its numbers."""
        stream = archive.open(f"{name}.npy")
        npy.read_magic(stream)
        return npy.read_array_header_1_0(stream)[0], stream

    def _invalid_index(self, problem: str) -> UserError:
        return UserError(f"{self.path}: {problem}; delete it, and search again with `data` to rebuild it")


class _Npz:
    """Writes arrays whose length is known only at the end: each to its own file first, then into the archive."""

    def __init__(self, temporary: Path) -> None:
        self._path = temporary
        self._folder = temporary.with_name(f"{temporary.name}.arrays")

    def __enter__(self) -> _Npz:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self._files: dict[str, BinaryIO] = {}
        self._arrays: dict[str, tuple[Any, tuple[int, ...], int]] = {}  # by name: dtype, shape of an entry, count
        return self

    def __exit__(self, *exception: Any) -> None:
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, row: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        self._append(LINES, np.array([row[LINES]], np.int64))
        self._append_json(TEXTS, row[TEXTS])
        if VECTORS in answer:
            self._append(VECTORS, np.array([answer[VECTORS]], np.float32))
            return
        self._append_json(TOKENS, answer[TOKENS])
        self._append(NUM_TOKENS, np.array([len(answer[TOKENS])], np.int64))
        self._append(TOKEN_VECTORS, np.array(answer[TOKEN_VECTORS], np.float32))

    def finish(self, about: Mapping[str, Any]) -> None:
        for name in (TEXTS, TOKENS):
            if name in self._arrays:
                self._append(name, np.frombuffer(b"\n]", np.uint8))
        self._append(ABOUT, np.frombuffer(json.dumps(about).encode(), np.uint8))
        with zipfile.ZipFile(self._path, "w") as archive:
            for name, (dtype, shape, count) in self._arrays.items():
                file = self._files[name]
                file.seek(0)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (count, *shape)}
                    npy.write_array_header_1_0(entry, header)
                    shutil.copyfileobj(file, entry)

    def _append_json(self, name: str, value: Any) -> None:
        # Each value has its own line, so that the list can be read as a stream.
        before = ",\n" if name in self._arrays else "[\n"
        self._append(name, np.frombuffer((before + json.dumps(value)).encode(), np.uint8))

    def _append(self, name: str, values: np.ndarray) -> None:
        if name not in self._files:
            self._files[name] = (self._folder / name).open("w+b")
        self._files[name].write(values.tobytes())
        _, _, count = self._arrays.get(name, (None, None, 0))
        self._arrays[name] = (values.dtype, values.shape[1:], count + len(values))


class _Parquet:
    """Writes a row for each text, in row groups."""

    def __init__(self, temporary: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise UserError(f"{temporary.name}: writing it needs the package 'pyarrow'; {INSTALL_CORPORA}") from None
        self._arrow, self._path = pyarrow, temporary

    def __enter__(self) -> _Parquet:
        self._writer: Any = None
        self._rows: list[dict[str, Any]] = []
        self._numbers = 0
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._writer is not None:
            self._writer.close()

    def write(self, row: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        self._rows.append({LINES: row[LINES], TEXTS: row[TEXTS], **answer})
        self._numbers += np.size(answer.get(VECTORS, answer.get(TOKEN_VECTORS)))
        if self._numbers >= ROW_GROUP_NUMBERS:
            self._flush()

    def finish(self, about: Mapping[str, Any]) -> None:
        self._flush()
        self._writer.add_key_value_metadata({ABOUT: json.dumps(about)})

    def _flush(self) -> None:
        if not self._rows:
            return
        schema = self._arrow.schema([(name, self._type(value)) for name, value in self._rows[0].items()])
        if self._writer is None:
            self._writer = self._arrow.parquet.ParquetWriter(self._path, schema)
        self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema))
        self._rows, self._numbers = [], 0

    def _type(self, value: Any) -> Any:
        if isinstance(value, list):
            return self._arrow.list_(self._type(value[0]))
        return {int: self._arrow.int64(), str: self._arrow.string(), float: self._arrow.float32()}[type(value)]
