"""Shards: each holds one or more buckets of all parts, in the order of the text; and the manifest beside them."""

from __future__ import annotations

import bisect
import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.records.folder import new_file
from keras_bert_scratch.data.records.parts import TEXT_COUNTS, read_buckets
from keras_bert_scratch.data.records.schema import COUNTS, Manifest
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, listed
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

MIN_SHARDS = 8
SHARD_TEXT_BYTES = 64e6  # a shard is read into memory as a whole: about 16 million tokens of English

# What `Part.index()` returns.
Index = Mapping[str, Any]
# Sums over parts: for each bucket, by name, the numbers of records, documents, sentences and tokens; under `TEXT`,
# counts about the text. So their size depends on the number of buckets, not on the number of parts.
Totals = Mapping[str, Mapping[str, int]]
TEXT = "text"
AT_ONCE_BYTES = 64 << 20  # of records, which are held in memory before they are appended to their shards


def num_shards_of(files: Iterable[SourceFile], asked: int | None) -> int:
    """The number of shards: `asked`, or if that is None one per 64 MB of the files, and at least 8."""
    if asked is None:
        return max(MIN_SHARDS, round(sum(file.num_bytes for file in files) / SHARD_TEXT_BYTES))
    if asked < 1:
        raise UserError(f"`num_shards`: must be at least 1, not {asked}")
    return asked


def counts_of(index: Index) -> Iterator[tuple[str, dict[str, int]]]:
    """What a part adds to the `Totals`, by name."""
    yield TEXT, index["text"]
    for bucket, facts in index["buckets"].items():
        yield bucket, {"records": 1} | {name: facts[name] for name in COUNTS}


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Sums by name.

    Example:
        >>> added([{"documents": 1}, {"documents": 2, "tokens": 7}])
        {'documents': 3, 'tokens': 7}
    """
    sums: dict[str, int] = {}
    for some in counts:
        _add(some, sums)
    return sums


def totals_of(indexes: Iterable[Index]) -> Totals:
    """The sums over these parts; only one index is in memory at a time."""
    totals: collections.defaultdict[str, dict[str, int]] = collections.defaultdict(dict)
    for index in indexes:
        for name, counts in counts_of(index):
            _add(counts, totals[name])
    return totals


def _add(counts: Mapping[str, int], sums: dict[str, int]) -> None:
    for name, count in counts.items():  # a `Counter` takes ten times as long for so few names
        sums[name] = sums.get(name, 0) + count


def buckets_of_shards(totals: Totals, num_buckets: int, corpus: str | Path | Sequence[str | Path]) -> list[list[int]]:
    """Which buckets make up each shard: one, or several if one has fewer than two documents.

    The random second segment of a pair comes from another document of the same shard, so a shard needs two.

    Raises:
        UserError: there is no document in `corpus`.

    Example:
        >>> totals = {bucket: {"documents": count} for bucket, count in (("0", 1), ("2", 1), ("3", 2), ("4", 1))}
        >>> buckets_of_shards(totals, 5, ["text.txt"])
        [[0, 1, 2], [3, 4]]
    """
    documents = [totals.get(str(bucket), {}).get("documents", 0) for bucket in range(num_buckets)]
    if not any(documents):
        raise UserError(f"{', '.join(map(str, listed(corpus)))}: contains no text; give files that contain text")
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


def shard_of(bucket: int, shards: Sequence[Sequence[int]]) -> int:
    """The number of the shard that contains a bucket; each shard has a range of consecutive buckets.

    Example:
        >>> shard_of(3, [[0, 1, 2], [3, 4]])
        1
    """
    return bisect.bisect_right(shards, bucket, key=lambda buckets: buckets[0]) - 1


def write_shards(folder: Path, parts: Iterable[Path], shards: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Copies the records of parts to their shards, part after part, with about `AT_ONCE_BYTES` in memory.

    Args:
        folder: Path. Folder of the shards; none of them exists yet.
        parts: paths. The parts' files, in the order of the text.
        shards: list of lists. The buckets of each shard.

    Returns: for each shard the file's name, bytes and sha256, as `write_shard` does.
    """
    paths = [folder / shard_name(number, len(shards)) for number in range(len(shards))]
    digests, sizes = [hashlib.sha256() for _ in shards], [0] * len(shards)
    waiting: collections.defaultdict[int, list[bytes]] = collections.defaultdict(list)
    waiting_bytes = 0

    def add_to_shards() -> None:
        for number, records in waiting.items():
            content = b"".join(records)
            with paths[number].open("ab") as file:
                file.write(content)
            digests[number].update(content)
            sizes[number] += len(content)
        waiting.clear()

    for part in parts:
        for bucket, record in read_buckets(part):
            waiting[shard_of(bucket, shards)].append(record)
            waiting_bytes += len(record)
        if waiting_bytes >= AT_ONCE_BYTES:
            add_to_shards()
            waiting_bytes = 0
    add_to_shards()
    return [
        {"file": path.name, "bytes": size, "sha256": digest.hexdigest()}
        for path, size, digest in zip(paths, sizes, digests, strict=True)
    ]


def write_shard(path: AnyPath, records: Iterable[bytes]) -> dict[str, Any]:
    """Writes framed records to `path`, completely or not at all; returns the file's name, bytes and sha256."""
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
    totals: Totals,
    options: Mapping[str, Any],
) -> Manifest:
    """Writes the vocabulary and, last, the manifest of shards that exist already.

    Args:
        directory: path. The folder of the shards.
        tokenizer: `BertTokenizer`. The one that computed the ids.
        files: list of dicts. What `write_shard` returned for each shard.
        shards: list of lists. The buckets of each shard.
        totals: dict of dicts. The sums over all parts.
        options: dict. From `options_of`.
    """
    none = dict.fromkeys(("records", *COUNTS), 0)
    counts = [added([none, *(totals.get(str(bucket), none) for bucket in buckets)]) for buckets in shards]
    manifest = Manifest(
        vocabulary_sha256=tokenizer.vocabulary.sha256,
        vocab_size=len(tokenizer.vocabulary),
        lowercase=tokenizer.lowercase,
        shards=[{**file, **count} for file, count in zip(files, counts, strict=True)],
        text=added([dict.fromkeys(TEXT_COUNTS, 0), totals[TEXT]]),
        options=dict(options),
        written_by=WRITTEN_BY,
        word_rules=tokenizer.rules.differences(),
    )
    tokenizer.save(directory)
    manifest.save(directory)
    return manifest


def options_of(num_shards: int, seed: int, form: CorpusForm) -> dict[str, Any]:
    """The arguments of the build that the manifest records."""
    return {"num_shards": num_shards, "seed": seed, **dataclasses.asdict(form)}
