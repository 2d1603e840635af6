"""Building records: documents in, TFRecord shards and a manifest out."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.data.records import MANIFEST_FILE, Manifest, encode_document, token_dtype
from keras_bert_scratch.data.sources import Document
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.version import WRITTEN_BY

DOCUMENTS_PER_BATCH = 512


def build_records(
    documents: Iterable[Document],
    tokenizer: BertTokenizer,
    directory: Path | str,
    num_shards: int = 8,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda documents: None,
) -> Manifest:
    """Tokenises `documents` and writes them, dealt out to shards by chance, into the new folder `directory`.

    The folder appears under its name only when it is whole: shards, `manifest.json`, `vocab.txt`.

    Args:
        documents: lists of sentences, read once, as from `read_documents`.
        tokenizer: makes the ids; its vocabulary is stored beside the records.
        directory: must not exist yet, or be empty.
        num_shards: files to deal the documents to; fewer for so small a corpus that one would get a single document.
        seed: of the dealing; the same documents, shards and seed give the same bytes.
        on_progress: told after each batch how many documents are done.

    Returns: the manifest.

    Raises:
        UserError: `directory` holds something, the disk is full, or there are no documents.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> manifest = build_records([["Playing.", "Play!"]], BertTokenizer(vocabulary), "records", num_shards=1)
        >>> manifest.total("sentences"), manifest.total("tokens")
        (2, 5)
    """
    directory = Path(directory)
    if num_shards < 1:
        raise UserError(f"num_shards: must be at least 1, not {num_shards}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory}: exists already; delete it or choose another folder")
    dtype = token_dtype(len(tokenizer.vocabulary))
    documents = iter(documents)
    first_documents = list(itertools.islice(documents, 2 * num_shards))
    num_shards = max(1, min(num_shards, len(first_documents) // 2))  # a pair's random B is of the same shard
    shard_of = _deal(num_shards, random.Random(seed))
    with atomic.written_folder(directory) as place, contextlib.ExitStack() as stack:
        names = [f"records-{index:05d}-of-{num_shards:05d}.tfrecord" for index in range(num_shards)]
        shards = [stack.enter_context(_ShardWriter(place / name)) for name in names]
        done = 0
        for batch in _batches(itertools.chain(first_documents, documents)):
            for token_ids, sentence_lengths in _tokenized(batch, tokenizer):
                shards[next(shard_of)].write(token_ids, sentence_lengths, dtype)
            done += len(batch)
            on_progress(done)
        if not done:
            raise UserError(f"{directory}: there is no document to write; give a corpus with text")
        stack.close()
        manifest = Manifest(
            vocabulary_sha256=tokenizer.vocabulary.sha256,
            vocab_size=len(tokenizer.vocabulary),
            lowercase=tokenizer.lowercase,
            shards=[shard.summary() for shard in shards],
            options={"num_shards": num_shards, "seed": seed},
            written_by=WRITTEN_BY,
        )
        tokenizer.save(place)
        atomic.write_json(place / MANIFEST_FILE, manifest.to_dict())
    return manifest


def _deal(num_shards: int, chance: random.Random) -> Iterator[int]:
    """Shards in rounds, each shard once a round, in a new order every time."""
    order = list(range(num_shards))
    while True:
        chance.shuffle(order)
        yield from order


def _batches(documents: Iterator[Document]) -> Iterator[list[Document]]:
    while batch := list(itertools.islice(documents, DOCUMENTS_PER_BATCH)):
        yield batch


def _tokenized(batch: list[Document], tokenizer: BertTokenizer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each document's ids and sentence lengths; sentences without any token are left out."""
    rows = tokenizer.tokenize([sentence for document in batch for sentence in document])
    ids, ends = rows.flat_values.numpy(), rows.row_splits.numpy()
    first = 0
    for document in batch:
        splits = ends[first : first + len(document) + 1]
        lengths = np.diff(splits)
        if lengths.any():
            yield ids[splits[0] : splits[-1]], lengths[lengths > 0]
        first += len(document)


class _ShardWriter:
    """One TFRecord file and the counts that the manifest will tell of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = {"documents": 0, "sentences": 0, "tokens": 0}

    def __enter__(self) -> _ShardWriter:
        self._writer = tf.io.TFRecordWriter(str(self._path))
        return self

    def __exit__(self, *_: Any) -> None:
        self._writer.close()

    def write(self, token_ids: np.ndarray, sentence_lengths: np.ndarray, dtype: np.dtype) -> None:
        self._writer.write(encode_document(token_ids, sentence_lengths, dtype))
        self._counts["documents"] += 1
        self._counts["sentences"] += len(sentence_lengths)
        self._counts["tokens"] += len(token_ids)

    def summary(self) -> dict[str, Any]:
        with self._path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": self._path.name, **self._counts, "bytes": self._path.stat().st_size, "sha256": digest}
