"""A sample of records in numbers: how long their texts and rows are, and what is masked in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_bert_scratch.data.google.reader import GoogleRecords
from keras_bert_scratch.data.pretraining.reader import PretrainingRecords
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.errors import UserError

ROWS, BATCH_SIZE = 1024, 32
UNPACKED, PACKED = "one example a row", "packed"


@dataclasses.dataclass(frozen=True, eq=False)
class RecordSample:
    """Statistics of some rows of records, read by `rules_to_show`.

    Args:
        max_length: int. Positions of a row.
        texts: mapping. For each kind of text, such as `"documents"`, the tokens per text in the first shard.
        rows: mapping. For each kind of row, such as `"packed"`, the tokens per row; the rest is padding.
        masks_per_row: int `(rows,)`. Masked tokens per row. This and all that follows is about the first kind of row.
        masked_fraction: float `(max_length,)`. At each position, the fraction of non-special tokens that is masked; NaN
            where there are none.
        shown_as: mapping. How often the network sees `[MASK]`, another token or the token itself at a masked position.
        masked_tokens: mapping. How often each token is masked, the most frequent first.
        all_tokens: mapping. How often each non-special token occurs, masked or not.
    """

    max_length: int
    texts: Mapping[str, np.ndarray]
    rows: Mapping[str, np.ndarray]
    masks_per_row: np.ndarray
    masked_fraction: np.ndarray
    shown_as: Mapping[str, int]
    masked_tokens: Mapping[str, int]
    all_tokens: Mapping[str, int]

    def padding(self, kind: str) -> float:
        """The fraction of padding in the positions of rows of this kind."""
        return 1.0 - float(self.rows[kind].mean()) / self.max_length


def rules_to_show(records: PretrainingRecords | GoogleRecords, max_length: int) -> ExampleRules:
    """BERT's rules; for records that cannot have its pairs, the same without pairs, or with the pairs they contain."""
    bert, *others = (ExampleRules(pairs) for pairs in ("next", "none", "order"))
    for rules in (bert, *others):
        try:
            records.check(max_length, rules)
        except UserError:
            continue
        return rules
    return bert


def masked_lm_of(batch: tuple[Any, Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and weights of the masked tokens, both `(rows, predictions)`; without pairs, a batch has no others."""
    _, labels, weights = batch
    return (labels["masked_lm"], weights["masked_lm"]) if isinstance(labels, dict) else (labels, weights)


def sample_records(records: PretrainingRecords | GoogleRecords, max_length: int) -> RecordSample:
    """Samples the first rows that training reads; those of a small corpus are repeated, with other masks.

    Args:
        records: from `open_records`.
        max_length: int. Positions of a row.
    """
    rules = rules_to_show(records, max_length)
    texts, rows = {"examples": records.lengths()}, {}
    if isinstance(records, PretrainingRecords):
        texts = {"documents": records.lengths(), "sentences": records.documents(0).sentence_lengths}
        packing = dataclasses.replace(rules, packing=True)
        packed = records.batches(BATCH_SIZE, max_length, rules=packing).take(ROWS // BATCH_SIZE)
        rows[PACKED] = np.concatenate([inputs["padding_mask"].sum(1) for inputs, _, _ in packed.as_numpy_iterator()])
    batches = list(records.batches(BATCH_SIZE, max_length, rules=rules).take(ROWS // BATCH_SIZE).as_numpy_iterator())
    names = ("token_ids", "padding_mask", "mask_positions")
    seen, mask, positions = (np.concatenate([inputs[name] for inputs, _, _ in batches]) for name in names)
    masked_ids, counts = map(np.concatenate, zip(*map(masked_lm_of, batches), strict=True))  # (rows, predictions)
    row, column = np.nonzero(counts)
    position, token = positions[row, column], masked_ids[row, column]

    vocabulary = records.tokenizer.vocabulary
    original = seen.copy()
    original[row, position] = token
    special = np.isin(original, [vocabulary.cls_id, vocabulary.sep_id])
    is_token = (mask == 1) & ~special
    is_masked = np.zeros_like(is_token)
    is_masked[row, position] = True
    there = is_token.sum(axis=0)
    fraction = np.divide(is_masked.sum(axis=0), there, out=np.full(len(there), np.nan), where=there > 0)

    shown = seen[row, position]

    def counted(ids: np.ndarray) -> dict[str, int]:
        numbers = np.bincount(ids, minlength=len(vocabulary))
        order = np.argsort(-numbers, kind="stable")[: np.count_nonzero(numbers)]
        return {vocabulary.tokens[number]: int(numbers[number]) for number in order}

    return RecordSample(
        max_length,
        texts,
        {UNPACKED: mask.sum(axis=1), **rows},
        counts.astype(bool).sum(axis=1),
        fraction,
        {
            "[MASK]": int((shown == vocabulary.mask_id).sum()),
            "another token": int(((shown != vocabulary.mask_id) & (shown != token)).sum()),
            "itself": int(((shown != vocabulary.mask_id) & (shown == token)).sum()),
        },
        counted(token),
        counted(original[is_token]),
    )
