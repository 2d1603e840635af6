"""The `documents` schema: a record holds some documents, split into sentences; and the manifest beside the shards.

A record is a `tf.train.Example` with three features:

- `token_ids`: bytes, the ids of all its documents one after another, little-endian `uint16` (`uint32` for a
  vocabulary of more than 65,536 tokens);
- `sentence_lengths`: int64 list, how many ids each sentence has; their sum is the number of ids;
- `document_lengths`: int64 list, how many sentences each document has; their sum is the number of sentences.

Pairs, truncation, masks and packing are computed when the records are read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
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
        """The numbers of documents, sentences and tokens."""
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
    """Decodes what `encode_documents` wrote.

    Raises:
        ValueError: the record is of another schema, or its numbers are inconsistent.
    """
    try:
        feature = tf.train.Example.FromString(record).features.feature
        token_ids = np.frombuffer(feature["token_ids"].bytes_list.value[0], dtype)
    except Exception as error:  # the exception depends on protobuf's implementation
        raise ValueError(f"does not match the documents schema: {error}") from None
    sentence_lengths, document_lengths = (
        np.array(feature[name].int64_list.value, np.int64) for name in ("sentence_lengths", "document_lengths")
    )
    if sentence_lengths.sum() != len(token_ids) or document_lengths.sum() != len(sentence_lengths):
        raise ValueError(
            f"has {len(token_ids)} ids and {len(sentence_lengths)} sentences, but its lengths add up to "
            f"{sentence_lengths.sum()} and {document_lengths.sum()}"
        )
    return Documents(token_ids, sentence_lengths, document_lengths)


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says about a folder of records.

    Args:
        vocabulary_sha256: str. Hash of the vocabulary that made the ids.
        vocab_size: int. Its number of tokens.
        lowercase: bool. Whether it is uncased.
        shards: list of dicts. For each shard its `file`, `records`, `documents`, `sentences`, `tokens`, `bytes` and
            `sha256`; in Google's format `examples` instead of the middle three.
        text: dict. About the text that was read: `text_bytes`, and how many `empty_documents` were left out, how many
            `cut_documents` were cut because they were too long, how many `replaced_bytes` were not UTF-8.
        options: dict. The arguments of the build.
        written_by: str. Library and version.
        format: str. Name and version of the schema.
        word_rules: mapping, default `{}`. The word rules that differ from Google's, by name (`WordRules.differences`);
            the file has this field only if there are some.
    """

    vocabulary_sha256: str
    vocab_size: int
    lowercase: bool
    shards: list[dict[str, Any]]
    text: dict[str, int]
    options: dict[str, Any]
    written_by: str
    format: str = DOCUMENTS_FORMAT
    word_rules: Mapping[str, bool | int] = dataclasses.field(default_factory=dict)

    def total(self, what: str) -> int:
        """The sum over shards of `"documents"`, `"sentences"`, `"tokens"`, `"records"`, `"bytes"` or `"examples"`."""
        return sum(shard.get(what, 0) for shard in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, serializable as JSON."""
        values = dataclasses.asdict(self)
        return values if self.word_rules else {name: value for name, value in values.items() if name != "word_rules"}

    def save(self, directory: AnyPath) -> None:
        """Writes the manifest into `directory`, as the last file of a folder of records."""
        content = json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"
        with new_file(directory / MANIFEST_FILE) as file:
            file.write(content.encode())

    @classmethod
    def load(cls, directory: str | Path | Address) -> Manifest:
        """Reads the manifest of the records in `directory`, a local folder or an address."""
        file = path_of(directory) / MANIFEST_FILE
        with reading(file):
            there = file.exists()
        if not there:
            raise UserError(f"{directory}: contains no {MANIFEST_FILE}; build records with 'keras-bert tfrecords'")
        with reading(file):
            content = file.read_bytes()
        try:
            manifest = cls(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: is not a valid manifest ({error}); rebuild the records") from None
        if manifest.format not in (DOCUMENTS_FORMAT, GOOGLE_FORMAT):
            raise UserError(
                f"{file}: has the format {manifest.format!r}, not {DOCUMENTS_FORMAT!r}; rebuild the records"
            )
        return manifest

    def check_shards(self, directory: str | Path | Address) -> None:
        """Raises `UserError` unless every shard exists and has the size that the manifest says."""
        for shard in self.shards:
            path = path_of(directory) / shard["file"]
            try:
                size = path.stat().st_size
            except OSError:
                size = None
            if size != shard["bytes"]:
                raise UserError(
                    f"{path}: is missing or not {shard['bytes']} bytes long; copy it again, rebuild the records, or "
                    f"give `on_corrupt='skip'`"
                )


def load_tokenizer(directory: str | Path | Address, manifest: Manifest) -> BertTokenizer:
    """The tokenizer stored beside the records, checked against the manifest."""
    tokenizer = BertTokenizer.load(directory)
    check_vocabulary(manifest, tokenizer, directory)
    return tokenizer


def check_vocabulary(manifest: Manifest, tokenizer: BertTokenizer, directory: str | Path | Address) -> None:
    """Raises `UserError` unless the records in `directory` were made with the vocabulary and rules of `tokenizer`."""
    vocabulary, rules = tokenizer.vocabulary, tokenizer.rules
    if manifest.vocabulary_sha256 != vocabulary.sha256:
        raise UserError(
            f"{directory}: its records were made with another vocabulary (sha256 {manifest.vocabulary_sha256[:12]}...) "
            f"than {vocabulary.origin} ({vocabulary.sha256[:12]}...); rebuild them with 'keras-bert tfrecords'"
        )
    made_by = {"lowercase": manifest.lowercase, **manifest.word_rules}
    given = {"lowercase": rules.lowercase, **rules.differences()}
    if made_by != given:
        made_by, given = (", ".join(f"{name}={value}" for name, value in of.items()) for of in (made_by, given))
        raise UserError(
            f"{directory}: its records were made with other tokenizer settings ({made_by}) than those of "
            f"{vocabulary.origin} ({given}); give the tokenizer that they were made with, or rebuild them with "
            f"'keras-bert tfrecords'"
        )
