"""Finding the files of a corpus: each entry is a path, pattern, folder, address, package or dataset."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from keras_bert_scratch.data.corpus.form import SourceFile
from keras_bert_scratch.data.corpus.streams import compression_of
from keras_bert_scratch.data.corpus.tables import TFDS_PREFIX, tfds_split
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, files_below, listed, path_of, reading

PACKAGE_PREFIX = "package:"
KINDS = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
}
log = logging.getLogger(__name__)


def source_files(corpus: str | Path | Sequence[str | Path]) -> list[SourceFile]:
    """The files that the entries of `corpus` stand for, in order.

    A file's suffix, in upper or lower case, determines its kind: `.jsonl` and `.ndjson` (JSON lines), `.csv`, `.tsv`,
    `.parquet`; any other is plain text in UTF-8. All but Parquet may be compressed: `.gz`, `.bz2`, `.xz`, `.zst`.

    Args:
        corpus: str, path or a list of these. An entry is a file; a pattern such as `books/*.txt`; a folder, for every
            file of these kinds below it (plain text: only `.txt`), sorted by name, except hidden files and folders and
            any `vocab.txt`; any of these at an address that TensorFlow opens, such as `gs://...`; `package:NAME`, for
            the `.txt` files of an installed Python package; or `tfds:NAME/CONFIG:SPLIT`, for TensorFlow Datasets.
            A file that a pattern matches several times, alone and in a folder, is read once.

    Raises:
        UserError: an entry matches no file; names the entry.

    Example:
        >>> _ = Path("sky.txt").write_text("The sky is blue.")
        >>> [file] = source_files(["*.txt"])
        >>> file.path, file.kind, file.num_bytes
        ('sky.txt', 'text', 16)
    """
    return [file for entry in listed(corpus) for file in _files_of(str(entry))]


def package_folder(package: str) -> Path:
    """The folder of the installed `package`, found without importing it."""
    name = package.replace("-", "_")
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"{PACKAGE_PREFIX}{package}: is not installed; install it with 'pip install {package}'")
    return Path(spec.submodule_search_locations[0])


def _files_of(entry: str) -> list[SourceFile]:
    if entry.startswith(TFDS_PREFIX):
        builder, split = tfds_split(entry)
        whole = builder.info.splits[split.partition("[")[0]]  # the size of a part, such as train[:10%], is not known
        return [SourceFile(entry, "tfds", int(whole.num_bytes), builder.info.full_name)]
    if entry.startswith(PACKAGE_PREFIX):
        folder = package_folder(entry.removeprefix(PACKAGE_PREFIX))
        return [_described(path) for path in _chosen(entry, files_below(folder), [".txt"])]
    path = path_of(entry)
    with reading(entry):
        files = dict.fromkeys(file for found in _matched(entry, path) for file in _expanded(found))
        return [_described(file) for file in files]


def _matched(entry: str, path: AnyPath) -> list[AnyPath]:
    """The files and folders that a path or a pattern stands for."""
    if not any(sign in entry for sign in "*?["):
        return [path]
    if isinstance(path, Address):
        found = path.matching()
    else:
        found = [path] if path.exists() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        # As in a shell, `*` does not match hidden names.
        found = [one for one in found if not any(part[0] == "." and part not in path.parts for part in one.parts)]
    if not found:
        raise UserError(f"{entry}: no file matches this pattern; check it")
    return found


def _expanded(path: AnyPath) -> list[AnyPath]:
    return _chosen(str(path), _visible_files(path), list(KINDS)) if path.is_dir() else [path]


def _visible_files(folder: AnyPath) -> list[AnyPath]:
    """The files below a folder, through links too, sorted; without hidden ones, such as an editor's copies."""
    # Imported here because the command line imports this module, but should not import numpy before it works.
    from keras_bert_scratch.text.vocabulary_files import VOCABULARY_FILE

    if isinstance(folder, Address):
        start = len(str(folder).rstrip("/"))
        files = [file for file in folder.walk_files() if "/." not in str(file)[start:]]
    else:
        files, entered = [], set()
        for parent, folders, names in os.walk(folder, followlinks=True):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            real = os.path.realpath(parent)
            if real in entered:  # behind a link to a folder that is read already, perhaps to one around it
                folders.clear()
                continue
            entered.add(real)
            files += [Path(parent, name) for name in names if not name.startswith(".")]
    for file in [file for file in files if file.name == VOCABULARY_FILE]:
        log.warning("%s: is not read as text, because of its name; give it by itself if it is a text", file)
        files.remove(file)
    return sorted(files)


def _described(path: AnyPath) -> SourceFile:
    with reading(path):
        status = path.stat()
    return SourceFile(str(path), _kind(str(path)), status.st_size, f"{status.st_size} bytes, {status.st_mtime_ns} ns")


def _chosen(folder: str, paths: list[AnyPath], suffixes: list[str]) -> list[AnyPath]:
    """The files among `paths` that have one of these suffixes."""
    if chosen := [path for path in paths if _suffix(str(path)) in suffixes]:
        return chosen
    raise UserError(f"{folder}: contains no {' or '.join(suffixes)} file; give a folder that does, or the files")


def _kind(path: str) -> str:
    kind = KINDS.get(_suffix(path), "text")
    if kind == "parquet" and compression_of(path):
        raise UserError(f"{path}: Parquet files are compressed internally; decompress this one first")
    return kind


def _suffix(path: str) -> str:
    """The suffix that determines the kind, in lower case; without the suffix of a compression."""
    name = Path(path.lower())
    return Path(name.stem).suffix if compression_of(path) else name.suffix
