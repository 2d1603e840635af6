"""Parts: a block of text as ids, each of its documents assigned to a bucket; a shard is a set of buckets of all parts.

A part depends only on its block and the block's position in the corpus, not on which process builds it or when. So the
local build and the Beam pipeline produce the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.data.corpus.splitting import SplitBlock
from keras_bert_scratch.data.records.schema import Documents, encode_documents, token_dtype
from keras_bert_scratch.data.records.tfrecord import framed
from keras_bert_scratch.data.rng import random_hash
from keras_bert_scratch.text.tokenizer import BertTokenizer

TEXT_COUNTS = ("text_bytes", "empty_documents", "cut_documents", "replaced_bytes")
PART_FORMAT = 2  # version of the files of an unfinished build


@dataclasses.dataclass(frozen=True)
class Part:
    """A tokenized block.

    Args:
        buckets: dict. For each bucket that has documents, its record, framed for a TFRecord file.
        counts: dict. For each of these buckets, how many documents, sentences and tokens it has.
        text: dict. Counts about the block's text, by the names in `TEXT_COUNTS`.
    """

    buckets: dict[int, bytes]
    counts: dict[int, dict[str, int]]
    text: dict[str, int]

    def index(self) -> dict[str, Any]:
        """All facts about the part except its records, serializable as JSON."""
        buckets = {
            str(bucket): {**self.counts[bucket], "bytes": len(self.buckets[bucket])} for bucket in sorted(self.buckets)
        }
        return {"buckets": buckets, "text": self.text}

    def to_bytes(self) -> bytes:
        """The part as a file: a record with the index, then the buckets' records in order."""
        index = json.dumps(self.index()).encode()
        return b"".join((framed(index), *(self.buckets[bucket] for bucket in sorted(self.buckets))))


def make_part(split: SplitBlock, position: int, tokenizer: BertTokenizer, num_buckets: int, seed: int) -> Part:
    """Tokenizes a block and assigns its documents to buckets.

    Args:
        split: `SplitBlock`. The block's sentences.
        position: int. Position of the block in the corpus. The assignment starts at a bucket that depends on it, so
            that blocks with few documents are spread over the buckets, too.
        tokenizer: `BertTokenizer`. Computes the ids.
        num_buckets: int. How many buckets there are.
        seed: int. Seed of the assignment.
    """
    documents = tokenized(split, tokenizer)
    assigned = _bucket_of_each(len(documents.document_lengths), position, num_buckets, seed)
    records, counts = {}, {}
    for bucket, found in _by_bucket(documents, assigned).items():
        records[bucket] = framed(encode_documents(found, token_dtype(len(tokenizer.vocabulary))))
        counts[bucket] = found.counts()
    text = {name: getattr(split, name) for name in TEXT_COUNTS}
    text["empty_documents"] += len(split.document_lengths) - len(assigned)
    return Part(records, counts, text)


def tokenized(split: SplitBlock, tokenizer: BertTokenizer) -> Documents:
    """The block's documents as ids; sentences and documents without any token are left out."""
    if not split.sentences:
        return Documents(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
    rows = tokenizer.tokenize(split.sentences)
    lengths = np.diff(rows.row_splits.numpy())
    document_of = np.repeat(np.arange(len(split.document_lengths)), split.document_lengths)
    document_lengths = np.bincount(document_of[lengths > 0], minlength=len(split.document_lengths))
    return Documents(rows.flat_values.numpy(), lengths[lengths > 0], document_lengths[document_lengths > 0])


def _bucket_of_each(num_documents: int, position: int, num_buckets: int, seed: int) -> np.ndarray:
    """The bucket of each document, in rounds: each round is a random permutation of all buckets."""
    turns = position + np.arange(num_documents)
    rounds = turns // num_buckets
    first = position // num_buckets
    numbers = np.arange(first, first + num_documents // num_buckets + 2)
    # The string "lanes" is part of the hash: another one would assign documents to other buckets.
    orders = np.argsort(random_hash("lanes", seed, numbers[:, None], np.arange(num_buckets)), axis=1, kind="stable")
    return orders[rounds - first, turns % num_buckets]


def _by_bucket(documents: Documents, assigned: np.ndarray) -> dict[int, Documents]:
    """The documents of each bucket that has any, in the order of the text."""
    sentence_ends = np.concatenate([[0], np.cumsum(documents.document_lengths)])
    token_ends = np.concatenate([[0], np.cumsum(documents.sentence_lengths)])
    buckets = {}
    for bucket in np.unique(assigned).tolist():
        members = np.flatnonzero(assigned == bucket)
        sentences = [
            slice(start, stop) for start, stop in zip(sentence_ends[members], sentence_ends[members + 1], strict=True)
        ]
        buckets[bucket] = Documents(
            np.concatenate([documents.token_ids[token_ends[s.start] : token_ends[s.stop]] for s in sentences]),
            np.concatenate([documents.sentence_lengths[s] for s in sentences]),
            documents.document_lengths[members],
        )
    return buckets


def read_index(path: Path) -> dict[str, Any]:
    """The index of the part in a file."""
    with path.open("rb") as file:
        return json.loads(file.read(_index_end(file.read(12)) - 12))


def read_buckets(path: Path) -> Iterator[tuple[int, bytes]]:
    """The buckets of the part in a file, each with its framed record."""
    content = path.read_bytes()
    end = _index_end(content)
    offset = end + 4
    for bucket, facts in json.loads(content[12:end])["buckets"].items():
        yield int(bucket), content[offset : offset + facts["bytes"]]
        offset += facts["bytes"]


def _index_end(head: bytes) -> int:
    """The end of the index, the first record of the file; its frame has 12 bytes before it and 4 after it."""
    return 12 + int.from_bytes(head[:8], "little")
