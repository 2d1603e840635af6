"""The layout of rows: `[CLS] a [SEP]` or `[CLS] a [SEP] b [SEP]`, one example after another, then padding."""

from __future__ import annotations

import numpy as np

from keras_bert_scratch.data.pretraining.sentence_pairs import Examples
from keras_bert_scratch.text.vocabulary import Vocabulary


def lay_out_rows(
    shard_ids: np.ndarray,
    examples: Examples,
    row_splits: np.ndarray,
    max_length: int,
    max_examples: int,
    vocabulary: Vocabulary,
) -> dict[str, np.ndarray]:
    """Rows of `max_length` tokens from positions in a shard (Devlin et al. 2019, figure 2).

    Args:
        shard_ids: int `(tokens,)`. All ids of the shard.
        examples: int64 `(examples, 5)`. In the order of rows: start and end of A and of B in `shard_ids`, and the
            label. In an example without B, start and end of B are 0.
        row_splits: int64 `(rows + 1,)`. Row `r` has `examples[row_splits[r]:row_splits[r + 1]]`.
        max_length: int. Tokens of a row.
        max_examples: int. Maximum number of examples in a row.
        vocabulary: `Vocabulary`. Provides the ids of the special tokens.

    Returns: int32 `(rows, max_length)`: `token_ids`, `segment_ids`, `padding_mask`, and `example_ids`, 1 for the tokens
    of the row's first example, 2 for the second, 0 at padding; int32 `(rows, max_examples)`: `example_starts`, the
    position of each `[CLS]`, and `labels`, both 0 after the last example; float32 `(rows, max_examples)`:
    `label_weights`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> ids, examples = np.array([5, 6, 5]), np.array([[0, 2, 2, 3, 1]])
        >>> rows = lay_out_rows(ids, examples, np.array([0, 1]), 8, 1, vocabulary)
        >>> rows["token_ids"].tolist(), rows["segment_ids"].tolist(), rows["labels"].tolist()
        ([[2, 5, 6, 3, 5, 3, 0, 0]], [[0, 0, 0, 0, 1, 1, 0, 0]], [[1]])
    """
    num_rows, sizes = len(row_splits) - 1, np.diff(row_splits)
    start_a, end_a, start_b, end_b, labels = examples.T
    length_a, length_b = end_a - start_a, end_b - start_b
    length = length_a + length_b + np.where(length_b > 0, 3, 2)
    row = np.repeat(np.arange(num_rows), sizes)
    number = np.arange(len(examples)) - row_splits[row]  # within the row
    before = np.cumsum(length) - length
    start = before - before[row_splits[row]]  # within the row
    position = row * max_length + start  # of [CLS], in the flat batch

    rows = {name: np.zeros((num_rows, max_length), np.int32) for name in ("token_ids", "segment_ids", "example_ids")}
    token_ids, segment_ids, example_ids = (values.reshape(-1) for values in rows.values())  # flat views of the rows
    token_ids[:] = vocabulary.pad_id
    example_ids[_ranges(position, length)] = np.repeat(number + 1, length)
    segment_ids[_ranges(position + length_a + 2, length - length_a - 2)] = 1
    token_ids[_ranges(position + 1, length_a)] = shard_ids[_ranges(start_a, length_a)]
    token_ids[_ranges(position + length_a + 2, length_b)] = shard_ids[_ranges(start_b, length_b)]
    token_ids[position] = vocabulary.cls_id
    token_ids[position + length_a + 1] = token_ids[position + length - 1] = vocabulary.sep_id

    per_example = np.zeros((2, num_rows, max_examples), np.int32)
    per_example[:, row, number] = start, labels
    return {
        **rows,
        "padding_mask": (rows["example_ids"] > 0).astype(np.int32),
        "example_starts": per_example[0],
        "labels": per_example[1],
        "label_weights": (np.arange(max_examples) < sizes[:, None]).astype(np.float32),
    }


def _ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """`start, start + 1, ...`, as many as each length says, concatenated."""
    before = np.cumsum(lengths) - lengths
    return np.arange(lengths.sum()) + np.repeat(starts - before, lengths)
