"""The TFRecord schema: one document per record, and the manifest beside the shards.

A record is a `tf.train.Example` with two features:

- `token_ids`: bytes, the document's ids one after another, little-endian `uint16` (`uint32` over 65,536 tokens);
- `sentence_lengths`: int64 list, how many ids each sentence has; their sum is the number of ids.

Pairing, truncation, masking and packing happen when the records are read.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.tokenizer import BertTokenizer

MANIFEST_FILE = "manifest.json"
FORMAT = "keras_bert_scratch documents 1"


def token_dtype(vocab_size: int) -> np.dtype:
    """The smallest type that holds every id."""
    return np.dtype("<u2" if vocab_size <= 65536 else "<u4")


def encode_document(token_ids: np.ndarray, sentence_lengths: np.ndarray, dtype: np.dtype) -> bytes:
    """One document as a serialised `tf.train.Example`."""
    example = tf.train.Example()
    example.features.feature["token_ids"].bytes_list.value.append(token_ids.astype(dtype).tobytes())
    example.features.feature["sentence_lengths"].int64_list.value.extend(sentence_lengths.tolist())
    return example.SerializeToString()


def decode_document(record: bytes, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The ids and sentence lengths that `encode_document` wrote."""
    features = tf.train.Example.FromString(record).features.feature
    token_ids = np.frombuffer(features["token_ids"].bytes_list.value[0], dtype)
    sentence_lengths = np.array(features["sentence_lengths"].int64_list.value, np.int64)
    if sentence_lengths.sum() != len(token_ids):
        raise ValueError(f"{len(token_ids)} ids, but sentences of {sentence_lengths.sum()}")
    return token_ids, sentence_lengths


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What `manifest.json` says of a folder of records.

    Args:
        vocabulary_sha256: hash of the vocabulary that made the ids.
        vocab_size: its length.
        lowercase: its casing.
        shards: per shard its `file`, `documents`, `sentences`, `tokens`, `bytes` and `sha256`.
        options: what the builder was asked for.
        written_by: library and version.
        format: the schema's name and version.
    """

    vocabulary_sha256: str
    vocab_size: int
    lowercase: bool
    shards: list[dict[str, Any]]
    options: dict[str, Any]
    written_by: str
    format: str = FORMAT

    def total(self, what: str) -> int:
        """The sum over shards of `"documents"`, `"sentences"`, `"tokens"` or `"bytes"`."""
        return sum(shard[what] for shard in self.shards)

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def load(cls, directory: Path | str) -> Manifest:
        """Reads the manifest of the records in `directory` and checks that they are whole and ours."""
        file = Path(directory) / MANIFEST_FILE
        if not file.exists():
            raise UserError(f"{directory}: holds no {MANIFEST_FILE}; make records with 'keras-bert tfrecords'")
        try:
            manifest = cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: is not a manifest ({error}); make the records again") from None
        if manifest.format != FORMAT:
            raise UserError(f"{file}: has the format {manifest.format!r}, not {FORMAT!r}; make the records again")
        for shard in manifest.shards:
            path = Path(directory) / shard["file"]
            if not path.exists() or path.stat().st_size != shard["bytes"]:
                raise UserError(
                    f"{path}: is missing or not {shard['bytes']} bytes long; copy it or make the records again"
                )
        return manifest


def load_tokenizer(directory: Path | str, manifest: Manifest) -> BertTokenizer:
    """The tokenizer stored beside the records, checked against the manifest."""
    tokenizer = BertTokenizer.load(directory)
    check_vocabulary(manifest, tokenizer, directory)
    return tokenizer


def check_vocabulary(manifest: Manifest, tokenizer: BertTokenizer, directory: Path | str) -> None:
    """Raises `UserError` unless the records in `directory` were made with `tokenizer`'s vocabulary and casing."""
    vocabulary = tokenizer.vocabulary
    if (manifest.vocabulary_sha256, manifest.lowercase) != (vocabulary.sha256, tokenizer.lowercase):
        raise UserError(
            f"{directory}: its records were made with another vocabulary (sha256 {manifest.vocabulary_sha256[:12]}...) "
            f"than {vocabulary.origin} ({vocabulary.sha256[:12]}...); make them again with 'keras-bert tfrecords'"
        )
