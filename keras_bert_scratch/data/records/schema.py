"""The `documents` schema: a record holds some documents, cut into sentences; and the manifest beside the shards.

A record is a `tf.train.Example` with three features:

- `token_ids`: bytes, the ids of all its documents one after another, little-endian `uint16` (`uint32` for more than
  65,536 tokens);
- `sentence_lengths`: int64 list, how many ids each sentence has; their sum is the number of ids;
- `document_lengths`: int64 list, how many sentences each document has; their sum is the number of sentences.

Pairs, truncation, masks and packing are made when the records are read.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.records.folder import MANIFEST_FILE, new_file
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, path_of, reading
from keras_bert_scratch.text.tokenizer import BertTokenizer

DOCUMENTS_FORMAT = "keras_bert_scratch documents 2"
GOOGLE_FORMAT = "google create_pretraining_data"

COUNTS = ("documents", "sentences", "tokens")


class Documents(NamedTuple):
    """Documents as flat arrays.

    Args:
        token_ids: int `(tokens,)`.
        sentence_lengths: int64 `(sentences,)`, ids per sentence.
        document_lengths: int64 `(documents,)`, sentences per document.
    """

    token_ids: np.ndarray
    sentence_lengths: np.ndarray
    document_lengths: np.ndarray

    def counts(self) -> dict[str, int]:
        """How many documents, sentences and tokens."""
        return dict(zip(COUNTS, (len(array) for array in reversed(self)), strict=True))


def token_dtype(vocab_size: int) -> np.dtype:
    """The smallest type that holds every id."""
    return np.dtype("<u2" if vocab_size <= 65536 else "<u4")


def encode_documents(documents: Documents, dtype: np.dtype) -> bytes:
    """Documents as a serialised `tf.train.Example`; the same documents give the same bytes."""
    example = tf.train.Example()
    feature = example.features.feature
    feature["token_ids"].bytes_list.value.append(documents.token_ids.astype(dtype).tobytes())
    feature["sentence_lengths"].int64_list.value.extend(documents.sentence_lengths.tolist())
    feature["document_lengths"].int64_list.value.extend(documents.document_lengths.tolist())
    return example.SerializeToString(deterministic=True)


def decode_documents(record: bytes, dtype: np.dtype) -> Documents:
    """What `encode_documents` wrote.

    Raises:
        ValueError: it is no such record, or its numbers do not fit together.
    """
    try:
        feature = tf.train.Example.FromString(record).features.feature
        token_ids = np.frombuffer(feature["token_ids"].bytes_list.value[0], dtype)
    except Exception as error:  # protobuf raises its own, by implementation
        raise ValueError(f"is not of the documents schema: {error}") from None
    sentence_lengths, document_lengths = (
        np.array(feature[name].int64_list.value, np.int64) for name in ("sentence_lengths", "document_lengths")
    )
    if sentence_lengths.sum() != len(token_ids) or document_lengths.sum() != len(sentence_lengths):
        raise ValueError(
            f"has {len(token_ids)} ids and {len(sentence_lengths)} sentences, but lengths for "
            f"{sentence_lengths.sum()} and {document_lengths.sum()}"
        )
    return Documents(token_ids, sentence_lengths, document_lengths)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says of a folder of records.

    Args:
        vocabulary_sha256: str. Hash of the vocabulary that made the ids.
        vocab_size: int. Its number of tokens.
        lowercase: bool. Whether it is uncased.
        shards: list of dicts. For each shard its `file`, `records`, `documents`, `sentences`, `tokens`, `bytes` and
            `sha256`; in Google's format `examples` instead of the middle three.
        text: dict. About the text that was read: `text_bytes`, and how many `empty_documents` were left out, how many
            `cut_documents` were too long and cut, how many `replaced_bytes` were not UTF-8.
        options: dict. The arguments of the build.
        written_by: str. Library and version.
        format: str. Name and version of the schema.
    """

    vocabulary_sha256: str
    vocab_size: int
    lowercase: bool
    shards: list[dict[str, Any]]
    text: dict[str, int]
    options: dict[str, Any]
    written_by: str
    format: str = DOCUMENTS_FORMAT

    def total(self, what: str) -> int:
        """The sum over shards of `"documents"`, `"sentences"`, `"tokens"`, `"records"`, `"bytes"` or `"examples"`."""
        return sum(shard.get(what, 0) for shard in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON can hold it."""
        return dataclasses.asdict(self)

    def save(self, directory: AnyPath) -> None:
        """Writes the manifest into `directory`; it is the last file of a folder of records."""
        content = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        with new_file(directory / MANIFEST_FILE) as file:
            file.write(content.encode())

    @classmethod
    def load(cls, directory: str | Path | Address) -> Manifest:
        """Reads the manifest of the records in `directory`, a folder here or at an address."""
        file = path_of(directory) / MANIFEST_FILE
        with reading(file):
            there = file.exists()
        if not there:
            raise UserError(f"{directory}: holds no {MANIFEST_FILE}; make records with 'keras-bert tfrecords'")
        with reading(file):
            content = file.read_bytes()
        try:
            manifest = cls(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: is not a manifest ({error}); make the records again") from None
        if manifest.format not in (DOCUMENTS_FORMAT, GOOGLE_FORMAT):
            raise UserError(
                f"{file}: has the format {manifest.format!r}, not {DOCUMENTS_FORMAT!r}; make the records again"
            )
        return manifest

    def check_shards(self, directory: str | Path | Address) -> None:
        """Raises `UserError` unless every shard is there with the length that it should have."""
        for shard in self.shards:
            path = path_of(directory) / shard["file"]
            try:
                size = path.stat().st_size
            except OSError:
                size = None
            if size != shard["bytes"]:
                raise UserError(
                    f"{path}: is missing or not {shard['bytes']} bytes long; copy it or make the records again, or "
                    f"give `on_corrupt='skip'`"
                )


def load_tokenizer(directory: str | Path | Address, manifest: Manifest) -> BertTokenizer:
    """The tokenizer stored beside the records, checked against the manifest."""
    tokenizer = read_tokenizer(directory)
    check_vocabulary(manifest, tokenizer, directory)
    return tokenizer


def read_tokenizer(path: str | Path | Address) -> BertTokenizer:
    """The tokenizer of a vocabulary file, or of a folder that holds one, here or at an address."""
    path = path_of(path)
    with reading(path):
        return BertTokenizer.load(path) if path.is_dir() else BertTokenizer(path)


def check_vocabulary(manifest: Manifest, tokenizer: BertTokenizer, directory: str | Path | Address) -> None:
    """Raises `UserError` unless the records in `directory` were made with `tokenizer`'s vocabulary and casing."""
    vocabulary = tokenizer.vocabulary
    if (manifest.vocabulary_sha256, manifest.lowercase) != (vocabulary.sha256, tokenizer.lowercase):
        raise UserError(
            f"{directory}: its records were made with another vocabulary (sha256 {manifest.vocabulary_sha256[:12]}...) "
            f"than {vocabulary.origin} ({vocabulary.sha256[:12]}...); make them again with 'keras-bert tfrecords'"
        )
