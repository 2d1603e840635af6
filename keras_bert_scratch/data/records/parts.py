"""Parts: a block of text, tokenised, with its documents dealt out to lanes; a shard is a lane of all parts.

A part depends on its block and the block's place alone, not on who makes it when: the local builder and the Beam
pipeline end in the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch.data.corpus.splitting import SplitBlock
from keras_bert_scratch.data.records.schema import Documents, encode_documents, token_dtype
from keras_bert_scratch.data.records.tfrecord import framed
from keras_bert_scratch.data.rng import random_hash
from keras_bert_scratch.text.tokenizer import BertTokenizer

TEXT_COUNTS = ("text_bytes", "empty_documents", "cut_documents", "replaced_bytes")


@dataclasses.dataclass(frozen=True)
class Part:
    """A tokenised block.

    Args:
        lanes: per lane that got any, its record, framed for a TFRecord file.
        counts: per lane the documents, sentences and tokens in it.
        text: what the block's text was, by the names of `TEXT_COUNTS`.
    """

    lanes: dict[int, bytes]
    counts: dict[int, dict[str, int]]
    text: dict[str, int]

    def index(self) -> dict[str, Any]:
        """What there is to know of a part without its records, as JSON holds it."""
        lanes = {str(lane): {**self.counts[lane], "bytes": len(self.lanes[lane])} for lane in sorted(self.lanes)}
        return {"lanes": lanes, "text": self.text}

    def to_bytes(self) -> bytes:
        """The part as a file: a record with the index, then the lanes' records in order."""
        index = json.dumps(self.index()).encode()
        return b"".join((framed(index), *(self.lanes[lane] for lane in sorted(self.lanes))))


def make_part(split: SplitBlock, place: int, tokenizer: BertTokenizer, num_lanes: int, seed: int) -> Part:
    """Tokenises a block and deals its documents to lanes.

    Args:
        split: the block's sentences.
        place: where the block stands in the corpus; the dealing starts from it, so that blocks of few documents are
            spread over the lanes too.
        tokenizer: makes the ids.
        num_lanes: lanes to deal to.
        seed: of the dealing.
    """
    documents = tokenized(split, tokenizer)
    lanes = _lane_of_each(len(documents.document_lengths), place, num_lanes, seed)
    records, counts = {}, {}
    for lane, dealt in _by_lane(documents, lanes).items():
        records[lane] = framed(encode_documents(dealt, token_dtype(len(tokenizer.vocabulary))))
        counts[lane] = dealt.counts()
    text = {name: getattr(split, name) for name in TEXT_COUNTS}
    text["empty_documents"] += len(split.document_lengths) - len(lanes)
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


def _lane_of_each(num_documents: int, place: int, num_lanes: int, seed: int) -> np.ndarray:
    """Lanes in rounds, each lane once a round, in a new order every round."""
    turns = place + np.arange(num_documents)
    rounds = turns // num_lanes
    first = place // num_lanes
    orders = np.argsort(
        random_hash(
            "lanes", seed, np.arange(first, first + num_documents // num_lanes + 2)[:, None], np.arange(num_lanes)
        ),
        axis=1,
        kind="stable",
    )
    return orders[rounds - first, turns % num_lanes]


def _by_lane(documents: Documents, lanes: np.ndarray) -> dict[int, Documents]:
    """The documents of each lane that has any, in the order of the text."""
    sentence_ends = np.concatenate([[0], np.cumsum(documents.document_lengths)])
    token_ends = np.concatenate([[0], np.cumsum(documents.sentence_lengths)])
    dealt = {}
    for lane in np.unique(lanes).tolist():
        mine = np.flatnonzero(lanes == lane)
        sentences = [
            slice(start, stop) for start, stop in zip(sentence_ends[mine], sentence_ends[mine + 1], strict=True)
        ]
        dealt[lane] = Documents(
            np.concatenate([documents.token_ids[token_ends[s.start] : token_ends[s.stop]] for s in sentences]),
            np.concatenate([documents.sentence_lengths[s] for s in sentences]),
            documents.document_lengths[mine],
        )
    return dealt


def read_index(path: Path) -> tuple[dict[str, Any], int]:
    """A part's index, and where its lanes' records begin."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(12)[:8], "little")
        return json.loads(file.read(length)), length + 16
