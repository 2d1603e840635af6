"""Shards: the lanes of all parts, each copied into a file in the order of the text; and the manifest beside them."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.data.corpus.form import CorpusForm, SourceFile
from keras_bert_scratch.data.parts import TEXT_COUNTS
from keras_bert_scratch.data.records import COUNTS, MANIFEST_FILE, Manifest
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

MIN_SHARDS = 8
SHARD_TEXT_BYTES = 64e6  # a shard is read whole, with a plan of its pairs: some 16 million tokens of English

# What a part says of itself: `Part.index()`.
Index = Mapping[str, Any]


def num_shards_of(files: Iterable[SourceFile], asked: int | None) -> int:
    """How many shards to deal to: as many as `asked` for, else one per 64 MB of the files, at least 8."""
    if asked is None:
        return max(MIN_SHARDS, round(sum(file.num_bytes for file in files) / SHARD_TEXT_BYTES))
    if asked < 1:
        raise UserError(f"--shards: must be at least 1, not {asked}")
    return asked


def lanes_of_shards(indexes: Iterable[Index], num_lanes: int, corpus: Sequence[str | Path]) -> list[list[int]]:
    """Which lanes make up each shard: one each, except that a shard has at least two documents where there are two.

    A pair's random second segment is of another document of the same shard.

    Raises:
        UserError: there is no document in `corpus`.

    Example:
        >>> lanes = {lane: {"documents": count} for lane, count in (("0", 1), ("2", 1), ("3", 2), ("4", 1))}
        >>> lanes_of_shards([{"lanes": lanes}], 5, ["text.txt"])
        [[0, 1, 2], [3, 4]]
    """
    documents: collections.Counter[int] = collections.Counter()
    for index in indexes:
        documents.update({int(lane): facts["documents"] for lane, facts in index["lanes"].items()})
    if not documents:
        raise UserError(f"{', '.join(map(str, corpus))}: holds no text; give files with text in them")
    shards: list[list[int]] = []
    waiting: list[int] = []
    for lane in range(num_lanes):
        waiting.append(lane)
        if sum(documents[lane] for lane in waiting) >= 2:
            shards.append(waiting)
            waiting = []
    if not shards:
        return [waiting]
    shards[-1] += waiting
    return shards


def write_shard(path: Path, records: Iterable[bytes]) -> dict[str, Any]:
    """Writes framed records to `path`, whole or not at all; returns the file's name, bytes and sha256."""
    digest, size = hashlib.sha256(), 0
    with atomic.write(path) as place, place.open("wb") as file:
        for record in records:
            file.write(record)
            digest.update(record)
            size += len(record)
    return {"file": path.name, "bytes": size, "sha256": digest.hexdigest()}


def shard_name(number: int, num_shards: int) -> str:
    """A shard's file name."""
    return f"records-{number:05d}-of-{num_shards:05d}.tfrecord"


def finish_records(
    directory: Path,
    tokenizer: BertTokenizer,
    files: Sequence[Mapping[str, Any]],
    shards: Sequence[Sequence[int]],
    indexes: Sequence[Index],
    options: Mapping[str, Any],
) -> Manifest:
    """Writes the vocabulary and, last, the manifest of shards that are in place.

    Args:
        directory: where the shards are.
        tokenizer: made the ids.
        files: what `write_shard` returned for each shard.
        shards: the lanes of each.
        indexes: of all parts.
        options: from `options_of`.
    """
    counts = [_counts(indexes, lanes) for lanes in shards]
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
    atomic.write_json(directory / MANIFEST_FILE, manifest.to_dict())
    return manifest


def options_of(num_shards: int, seed: int, form: CorpusForm) -> dict[str, Any]:
    """What the manifest notes of the builder's arguments."""
    return {"num_shards": num_shards, "seed": seed, **dataclasses.asdict(form)}


def _counts(indexes: Sequence[Index], lanes: Sequence[int]) -> dict[str, int]:
    """Records, documents, sentences and tokens that `lanes` hold in all parts together."""
    found: collections.Counter[str] = collections.Counter(dict.fromkeys(("records", *COUNTS), 0))
    for index in indexes:
        for lane in lanes:
            if facts := index["lanes"].get(str(lane)):
                found.update(records=1, **{name: facts[name] for name in COUNTS})
    return dict(found)
