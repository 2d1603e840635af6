"""Shards: each holds one bucket, or several, of all parts in the order of the text; and the manifest beside them."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.records.folder import new_file
from keras_bert_scratch.data.records.parts import TEXT_COUNTS
from keras_bert_scratch.data.records.schema import COUNTS, Manifest
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, listed
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

MIN_SHARDS = 8
SHARD_TEXT_BYTES = 64e6  # a shard is in memory as a whole when it is read: some 16 million tokens of English

# What `Part.index()` gives.
Index = Mapping[str, Any]


def num_shards_of(files: Iterable[SourceFile], asked: int | None) -> int:
    """How many shards there should be: as many as `asked` for, or one per 64 MB of the files and at least 8."""
    if asked is None:
        return max(MIN_SHARDS, round(sum(file.num_bytes for file in files) / SHARD_TEXT_BYTES))
    if asked < 1:
        raise UserError(f"`num_shards`: must be at least 1, not {asked}")
    return asked


def buckets_of_shards(
    indexes: Iterable[Index], num_buckets: int, corpus: str | Path | Sequence[str | Path]
) -> list[list[int]]:
    """Which buckets make up each shard: one, or several if one has fewer than two documents.

    The random second segment of a pair comes from another document of the same shard, so a shard needs two.

    Raises:
        UserError: there is no document in `corpus`.

    Example:
        >>> buckets = {bucket: {"documents": count} for bucket, count in (("0", 1), ("2", 1), ("3", 2), ("4", 1))}
        >>> buckets_of_shards([{"buckets": buckets}], 5, ["text.txt"])
        [[0, 1, 2], [3, 4]]
    """
    documents: collections.Counter[int] = collections.Counter()
    for index in indexes:
        documents.update({int(bucket): facts["documents"] for bucket, facts in index["buckets"].items()})
    if not documents:
        raise UserError(f"{', '.join(map(str, listed(corpus)))}: holds no text; give files with text in them")
    shards: list[list[int]] = []
    waiting: list[int] = []
    for bucket in range(num_buckets):
        waiting.append(bucket)
        if sum(documents[bucket] for bucket in waiting) >= 2:
            shards.append(waiting)
            waiting = []
    if not shards:
        return [waiting]
    shards[-1] += waiting
    return shards


def write_shard(path: AnyPath, records: Iterable[bytes]) -> dict[str, Any]:
    """Writes framed records to `path`, whole or not at all; returns the file's name, bytes and sha256."""
    digest, size = hashlib.sha256(), 0
    with new_file(path) as file:
        for record in records:
            file.write(record)
            digest.update(record)
            size += len(record)
    return {"file": path.name, "bytes": size, "sha256": digest.hexdigest()}


def shard_name(number: int, num_shards: int) -> str:
    """A shard's file name."""
    return f"records-{number:05d}-of-{num_shards:05d}.tfrecord"


def finish_records(
    directory: AnyPath,
    tokenizer: BertTokenizer,
    files: Sequence[Mapping[str, Any]],
    shards: Sequence[Sequence[int]],
    indexes: Sequence[Index],
    options: Mapping[str, Any],
) -> Manifest:
    """Writes the vocabulary and, last, the manifest of shards that are already there.

    Args:
        directory: path. The folder of the shards.
        tokenizer: `BertTokenizer`. It made the ids.
        files: list of dicts. What `write_shard` returned for each shard.
        shards: list of lists. The buckets of each shard.
        indexes: list of dicts. Of all parts.
        options: dict. From `options_of`.
    """
    counts = [_counts(indexes, buckets) for buckets in shards]
    text: collections.Counter[str] = collections.Counter(dict.fromkeys(TEXT_COUNTS, 0))
    for index in indexes:
        text.update(index["text"])
    manifest = Manifest(
        vocabulary_sha256=tokenizer.vocabulary.sha256,
        vocab_size=len(tokenizer.vocabulary),
        lowercase=tokenizer.lowercase,
        shards=[{**file, **count} for file, count in zip(files, counts, strict=True)],
        text=dict(text),
        options=dict(options),
        written_by=WRITTEN_BY,
    )
    tokenizer.save(directory)
    manifest.save(directory)
    return manifest


def options_of(num_shards: int, seed: int, form: CorpusForm) -> dict[str, Any]:
    """The arguments of the build that the manifest records."""
    return {"num_shards": num_shards, "seed": seed, **dataclasses.asdict(form)}


def _counts(indexes: Sequence[Index], buckets: Sequence[int]) -> dict[str, int]:
    """Records, documents, sentences and tokens that `buckets` hold in all parts together."""
    found: collections.Counter[str] = collections.Counter(dict.fromkeys(("records", *COUNTS), 0))
    for index in indexes:
        for bucket in buckets:
            if facts := index["buckets"].get(str(bucket)):
                found.update(records=1, **{name: facts[name] for name in COUNTS})
    return dict(found)
