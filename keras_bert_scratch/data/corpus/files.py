"""Finding the files of a corpus: each entry, a path, pattern, folder, URL, package or dataset, stands for some."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from keras_bert_scratch.data.corpus.form import SourceFile
from keras_bert_scratch.data.corpus.streams import COMPRESSIONS, compression_of, is_url
from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX, tfds_split
from keras_bert_scratch.errors import UserError

PACKAGE_PREFIX = "package:"
KINDS = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}


def source_files(corpus: Sequence[str | Path]) -> list[SourceFile]:
    """The files that the entries of `corpus` stand for, in order.

    Args:
        corpus: files, where the name's end tells the kind: `.jsonl` and `.ndjson` (JSON lines), `.csv`, `.tsv`,
            `.parquet`, and any other is plain text in UTF-8, each but Parquet also compressed (`.gz`, `.bz2`, `.xz`,
            `.zst`); patterns such as `books/*.txt`; folders, for every file of these kinds below them (of plain text:
            `.txt`), in order of name; URLs of any of these that TensorFlow opens, such as `gs://`; `package:NAME` for
            the `.txt` files of an installed Python package; `tfds:NAME/CONFIG:SPLIT` for TensorFlow Datasets.

    Raises:
        UserError: nothing is there; names the entry.

    Example:
        >>> _ = Path("sky.txt").write_text("The sky is blue.")
        >>> [file] = source_files(["*.txt"])
        >>> file.path, file.kind, file.num_bytes
        ('sky.txt', 'text', 16)
    """
    return [file for entry in corpus for file in _files_of(str(entry))]


def package_folder(package: str) -> Path:
    """Where the installed `package` lies, without importing it."""
    name = package.replace("-", "_")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{PACKAGE_PREFIX}{package}: is not installed; install it with 'pip install {package}'")
    return Path(spec.submodule_search_locations[0])


def _files_of(entry: str) -> list[SourceFile]:
    if entry.startswith(TFDS_PREFIX):
        builder, split = tfds_split(entry)
        whole = builder.info.splits[split.partition("[")[0]]  # of a part, as train[:10%], the size is not known
        return [SourceFile(entry, "tfds", int(whole.num_bytes), builder.info.full_name)]
    if entry.startswith(PACKAGE_PREFIX):
        folder = package_folder(entry.removeprefix(PACKAGE_PREFIX))
        return [_local_file(path) for path in _chosen(entry, _below_folder(folder), [".txt"])]
    if is_url(entry):
        return _files_at_url(entry)
    paths = [entry] if Path(entry).exists() or not _is_pattern(entry) else _matching(Path(entry))
    return [_local_file(file) for path in _matched(entry, paths) for file in _expanded(path)]


def _is_pattern(entry: str) -> bool:
    return any(sign in entry for sign in "*?[")


def _matching(pattern: Path) -> list[str]:
    return [str(path) for path in sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))]


def _expanded(path: str) -> list[str]:
    return _chosen(path, _below_folder(Path(path)), list(KINDS)) if Path(path).is_dir() else [path]


def _below_folder(folder: Path) -> list[str]:
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file()]


def _local_file(path: str) -> SourceFile:
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file or folder; check the path") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    return SourceFile(path, _kind(path), status.st_size, f"{status.st_size} bytes, {status.st_mtime_ns} ns")


def _files_at_url(entry: str) -> list[SourceFile]:
    import tensorflow as tf

    def expanded(path: str) -> list[str]:
        if not tf.io.gfile.isdir(path):
            return [path]
        found = [tf.io.gfile.join(folder, name) for folder, _, names in tf.io.gfile.walk(path) for name in names]
        return _chosen(path, sorted(found), list(KINDS))

    def described(path: str) -> SourceFile:
        status = tf.io.gfile.stat(path)
        return SourceFile(path, _kind(path), status.length, f"{status.length} bytes, {status.mtime_nsec} ns")

    try:
        paths = sorted(tf.io.gfile.glob(entry)) if _is_pattern(entry) else [entry]
        return [described(file) for path in _matched(entry, paths) for file in expanded(path)]
    except tf.errors.NotFoundError:
        raise UserError(f"{entry}: no such file or folder; check the URL") from None
    except tf.errors.UnimplementedError:
        scheme = entry.partition("://")[0]
        raise UserError(
            f"{entry}: TensorFlow opens no {scheme}:// by itself; install what does, for s3:// for instance "
            f"'pip install tensorflow-io', or copy the files to this machine"
        ) from None
    except tf.errors.OpError as error:
        raise UserError(f"{entry}: cannot be read ({error.message.splitlines()[0]})") from error


def _matched(pattern: str, paths: list[str]) -> list[str]:
    if not paths:
        raise UserError(f"{pattern}: no file is named like this; check the pattern")
    return paths


def _chosen(folder: str, paths: list[str], suffixes: list[str]) -> list[str]:
    """The files among `paths` that a folder is read for."""
    if chosen := [path for path in paths if _suffix(path) in suffixes]:
        return chosen
    raise UserError(f"{folder}: holds no {' or '.join(suffixes)} file; give a folder that does, or the files")


def _kind(path: str) -> str:
    kind = KINDS.get(_suffix(path), "text")
    if kind == "parquet" and compression_of(path):
        raise UserError(f"{path}: is Parquet, which is compressed inside; unpack it first")
    return kind


def _suffix(path: str) -> str:
    """The end of the name that tells the kind, before that of a compression."""
    name = Path(path)
    return Path(name.stem).suffix if name.suffix in COMPRESSIONS else name.suffix
