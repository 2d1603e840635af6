"""A shard as it is read: its documents, and the rows that a plan makes of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from keras_bert_scratch.data.pretraining.packing import pack_rows
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.sentence_pairs import Examples, plan_examples
from keras_bert_scratch.data.records.schema import COUNTS, Documents, decode_documents
from keras_bert_scratch.data.records.tfrecord import numbered_records, refuse_damage
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath

TOKENS_PER_EXAMPLE = 16  # a packed row of 128 holds at most 8 examples


def max_examples_of(max_length: int, rules: ExampleRules) -> int:
    """The maximum number of examples in a row."""
    return max(2, max_length // TOKENS_PER_EXAMPLE) if rules.packing else 1


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """The rows of one shard.

    Args:
        token_ids: int `(tokens,)`. All ids of the shard.
        examples: int64 `(examples, 5)`. Row after row; see `sentence_pairs`.
        row_splits: int64 `(rows + 1,)`. Row `r` is `examples[row_splits[r]:row_splits[r + 1]]`.
        max_length: int. Tokens per row.
        num_tokens: int. Tokens in all rows, the special ones included.
    """

    token_ids: np.ndarray
    examples: Examples
    row_splits: np.ndarray
    max_length: int
    num_tokens: int

    @classmethod
    def make(cls, documents: Documents, max_length: int, rules: ExampleRules, *key: Any) -> ShardPlan:
        """The plan for this key; it has no rows if there are too few documents for pairs."""
        if len(documents.document_lengths) < (2 if rules.pairs == "next" else 1):
            documents = Documents(*(array[:0] for array in documents))
            examples = np.zeros((0, 5), np.int64)
        else:
            examples = plan_examples(documents.sentence_lengths, documents.document_lengths, max_length, rules, *key)
        lengths = examples[:, 1] - examples[:, 0] + examples[:, 3] - examples[:, 2] + rules.num_special_tokens
        row_splits = np.arange(len(examples) + 1)
        if rules.packing:
            order, row_splits = pack_rows(lengths, max_length, max_examples_of(max_length, rules))
            examples = examples[order]
        return cls(documents.token_ids, examples, row_splits, max_length, int(lengths.sum()))

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self.row_splits) - 1

    @property
    def non_padding_fraction(self) -> float:
        """The fraction of the rows' positions that hold tokens, not padding."""
        return self.num_tokens / max(1, self.num_rows * self.max_length)

    def examples_of(self, rows: np.ndarray) -> tuple[Examples, np.ndarray]:
        """The examples of these rows, row after row, and their `row_splits`."""
        sizes = np.diff(self.row_splits)[rows]
        splits = np.concatenate([[0], np.cumsum(sizes)])
        numbers = np.arange(splits[-1]) + np.repeat(self.row_splits[rows] - splits[:-1], sizes)
        return self.examples[numbers], splits


def read_shard(path: AnyPath, dtype: np.dtype, expected: dict[str, Any], skip_damage: bool) -> tuple[Documents, str]:
    """All documents of a shard, and a description of what had to be left out.

    Args:
        path: path. The shard.
        dtype: `np.dtype`. The dtype of its ids.
        expected: dict. What the manifest says about it.
        skip_damage: bool. Whether to leave out what is damaged or missing; otherwise it is an error.

    Raises:
        UserError: the shard is damaged, or holds other counts than the manifest says; names shard and record.
    """
    damaged: list[str] = []

    def on_damage(path: AnyPath, record: int, how: str) -> None:
        if not skip_damage:
            refuse_damage(path, record, how)
        damaged.append(f"record {record} ({how})")

    found: list[Documents] = []
    if skip_damage and not path.exists():
        damaged.append("the file (missing)")
    else:
        for number, record in numbered_records(path, on_damage):
            try:
                found.append(decode_documents(record, dtype))
            except ValueError as error:
                on_damage(path, number, str(error))
    empty = Documents(np.zeros(0, dtype), np.zeros(0, np.int64), np.zeros(0, np.int64))
    documents = Documents(*(np.concatenate(arrays) for arrays in zip(empty, *found, strict=True)))
    counts = documents.counts()
    if all(counts[name] == expected[name] for name in COUNTS):
        return documents, ""
    if not skip_damage:
        raise UserError(
            f"{path}: contains {counts}, but the manifest says { ({name: expected[name] for name in COUNTS}) }; "
            f"copy it again or rebuild the records"
        )
    missing = ", ".join(f"{expected[name] - counts[name]:,} {name}" for name in COUNTS)
    return documents, f"{'; '.join(damaged) or 'missing records'}: {missing}"
