"""From records to pretraining batches: a pure function of (records, seed, step), for one worker or many.

epoch    Every epoch permutes the shards, and the rows within each shard.
plan     Which examples and rows a shard yields. The epochs use `PLANS` plans in turn, so the number of rows before a
         step is known from a few counts (`row_counts`), without reading the rows.
masks    New in every epoch, from one key per row.
workers  Each reads an equal slice of every batch.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.pretraining.layout import lay_out_rows
from keras_bert_scratch.data.pretraining.masking import mask_tokens
from keras_bert_scratch.data.pretraining.next_tokens import next_tokens
from keras_bert_scratch.data.pretraining.row_counts import RowCounts
from keras_bert_scratch.data.pretraining.row_stream import RowRange, Shards, batches_of
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.pretraining.shard_plan import ShardPlan, max_examples_of, read_shard
from keras_bert_scratch.data.records.schema import (
    DOCUMENTS_FORMAT,
    Documents,
    Manifest,
    check_vocabulary,
    load_tokenizer,
    token_dtype,
)
from keras_bert_scratch.data.rng import permutation, random_hash
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, path_of
from keras_bert_scratch.text.tokenizer import BertTokenizer

PLANS = 10  # as many as the copies of a corpus in Google's code, each with other pairs (its `dupe_factor`)
ON_CORRUPT = ("fail", "skip")

BERT_RULES = ExampleRules()

log = logging.getLogger(__name__)


class _Source(NamedTuple):
    """One epoch's rows of one shard."""

    plan: ShardPlan
    key: tuple[Any, ...]  # of the masks


def check_length(max_length: int) -> None:
    """Raises `UserError` if rows of `max_length` tokens are too short."""
    if max_length < 8:
        raise UserError(f"`max_length`: must be at least 8 to hold two sentences, not {max_length}")


class PretrainingRecords:
    """A folder of records as an endless stream of pretraining batches.

    Args:
        directory: str or path. A folder that `build_records` made, on this machine or at an address such as
            `gs://bucket/records`.
        tokenizer: `BertTokenizer`, default the one stored with the records. The tokenizer of the model to train.
        on_corrupt: `"fail"` (default), or `"skip"` to log and leave out records and shards that are damaged or missing.

    Raises:
        UserError: the folder holds no complete records, or they were made with another vocabulary.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> manifest = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> inputs, labels, weights = next(iter(PretrainingRecords("records").batches(batch_size=2, max_length=16)))
        >>> tuple(inputs["token_ids"].shape), tuple(labels["masked_lm"].shape)
        ((2, 16), (2, 3))
    """

    def __init__(
        self, directory: str | Path | Address, tokenizer: BertTokenizer | None = None, on_corrupt: str = "fail"
    ) -> None:
        if on_corrupt not in ON_CORRUPT:
            raise UserError(f"`on_corrupt`: {on_corrupt!r} is unknown; choose one of {', '.join(ON_CORRUPT)}")
        self.directory = path_of(directory)
        self.on_corrupt = on_corrupt
        self.manifest = Manifest.load(directory)
        if self.manifest.format != DOCUMENTS_FORMAT:
            raise UserError(
                f"{directory}: contains records of the format {self.manifest.format!r}; read them as GoogleRecords"
            )
        if on_corrupt == "fail":
            self.manifest.check_shards(directory)
        self.tokenizer = tokenizer or load_tokenizer(directory, self.manifest)
        check_vocabulary(self.manifest, self.tokenizer, directory)
        self._row_counts: dict[tuple[Any, ...], RowCounts] = {}
        self._logged: set[int] = set()

    @property
    def vocab_size(self) -> int:
        """How many tokens the vocabulary has."""
        return self.manifest.vocab_size

    @property
    def fingerprint(self) -> list[str]:
        """Identifies these records in a run's settings: the hash of each shard."""
        return [shard["sha256"] for shard in self.manifest.shards]

    def batches(
        self,
        batch_size: int = 32,
        max_length: int = 128,
        seed: int = 0,
        first_step: int = 0,
        rules: ExampleRules = BERT_RULES,
        worker: int = 0,
        num_workers: int = 1,
    ) -> tf.data.Dataset:
        """Endless batches for `fit`: `(inputs, labels, sample_weights)`.

        The batches are a pure function of the records, the arguments and the step: a stream that begins at `first_step`
        continues exactly as one that began at 0. Each epoch yields every example of its plan once. All rows of a batch
        come from one shard (from two where a shard ends); documents were assigned to shards at random, and the rows of
        a shard are permuted as a whole.

        Args:
            batch_size: int, default 32. Rows of the global batch, for all workers together.
            max_length: int, default 128. Tokens per row, the special ones and padding included.
            seed: int, default 0. Seed of order, pairs and masks.
            first_step: int, default 0. How many batches to skip. The cost does not depend on this number once the
                rows of the shards have been counted, by an earlier run or by the first call (see `row_counts`).
            rules: `ExampleRules`, default BERT's. Which examples to make.
            worker: int, default 0. Index of this worker.
            num_workers: int, default 1. How many workers share each batch, in equal slices.

        Inputs: `token_ids`, `segment_ids`, `padding_mask` int32 `(batch, length)`, `mask_positions` int32 `(batch,
        predictions)`; with packing also `example_ids` `(batch, length)` and `example_starts` `(batch, examples)`.

        Labels and weights: a dict of `masked_lm` `(batch, predictions)` and `next_sentence` `(batch,)`, or with packing
        `(batch, examples)`. Without pairs there is no dict but one array, that of the masked tokens; for
        one-way models that of the next tokens, `(batch, length)`, and there is no input `mask_positions`.

        Raises:
            UserError: the sizes do not fit, or pairs are to be made from a single document.
        """
        self.check(max_length, rules)

        return batches_of(
            self.rows(max_length, seed, rules),
            seed,
            lambda taken: self._batch(taken, max_length, rules),
            batch_size,
            first_step,
            worker,
            num_workers,
        )

    def non_padding_fraction(self, max_length: int, seed: int = 0, rules: ExampleRules = BERT_RULES) -> float:
        """The fraction of positions that hold tokens, not padding, in the rows of the first shard."""
        self.check(max_length, rules)
        return self._plan(0, max_length, seed, 0, rules).non_padding_fraction

    def check(self, max_length: int, rules: ExampleRules) -> None:
        """Raises `UserError` unless rows of this length can be made by these rules."""
        check_length(max_length)
        if rules.pairs == "next" and self.manifest.total("documents") < 2:
            raise UserError(
                f"{self.directory}: is a single document, but next-sentence pairs need two; split it with blank lines, "
                f"build the records from several files with `documents='files'`, or train without pairs: `pairs='none'`"
            )

        if rules.pairs == "next" and self.manifest.total("documents") == self.manifest.total("sentences"):
            raise UserError(
                f"{self.directory}: each document is a single sentence, so no sentence follows another; blank lines "
                f"separate documents: remove those within a document, or train without pairs: `pairs='none'`"
            )

    def check_effect(self, rules: ExampleRules) -> None:
        """Raises `UserError` for rules that are not BERT's and change nothing: those of masks for one-way models."""
        without_masks = dataclasses.replace(rules, masking=BERT_RULES.masking, static_masks=BERT_RULES.static_masks)
        if rules.is_one_way and (unused := rules.differing(without_masks)):
            raise UserError(
                f"{', '.join(f'`{name}`' for name in unused)}: no effect on the objective {rules.objective}, which "
                f"masks nothing; leave this out"
            )

    def documents(self, shard: int) -> Documents:
        """All documents of a shard; raises `UserError` if it is damaged, or logs what is left out."""
        facts = self.manifest.shards[shard]
        dtype = token_dtype(self.manifest.vocab_size)
        path = self.directory / facts["file"]
        documents, left_out = read_shard(path, dtype, facts, self.on_corrupt == "skip")
        if left_out and shard not in self._logged:
            self._logged.add(shard)
            log.warning("%s: left out %s", path, left_out)
        return documents

    def lengths(self) -> np.ndarray:
        """The number of tokens of each document of the first shard."""
        documents = self.documents(0)
        ends = np.concatenate([[0], np.cumsum(documents.sentence_lengths)])
        return np.diff(ends[np.concatenate([[0], np.cumsum(documents.document_lengths)])])

    def rows(self, max_length: int, seed: int, rules: ExampleRules) -> Shards[_Source]:
        """The stream of all rows; each shard is one row range."""

        def row_ranges(shard: int, epoch: int, start: int, first_row: int) -> Iterator[RowRange[_Source]]:
            plan = self._plan(shard, max_length, seed, epoch % PLANS, rules)
            key = ("masks", seed, epoch % PLANS if rules.static_masks else epoch, shard)
            yield RowRange(start, _Source(plan, key), permutation(plan.num_rows, "rows", seed, epoch, shard))

        def num_rows(shard: int, epoch: int) -> int:
            counts, name = self._counts(max_length, seed, rules), _count_name(shard, epoch % PLANS)
            if counts.get(name) is None:
                self._plan(shard, max_length, seed, epoch % PLANS, rules)
            return counts[name]

        return Shards(str(self.directory), len(self.manifest.shards), PLANS, num_rows, row_ranges)

    def _plan(self, shard: int, max_length: int, seed: int, plan: int, rules: ExampleRules) -> ShardPlan:
        """Plan `plan` of a shard; its number of rows is stored."""
        start = time.perf_counter()
        made = ShardPlan.make(self.documents(shard), max_length, rules, seed, plan, shard)
        seconds = time.perf_counter() - start
        self._counts(max_length, seed, rules).add(_count_name(shard, plan), made.num_rows, seconds)
        return made

    def _counts(self, max_length: int, seed: int, rules: ExampleRules) -> RowCounts:
        """The numbers of rows by shard and plan; they depend on neither masks nor objective."""
        of = {"max_length": max_length, "seed": seed, "plans": PLANS}
        of |= {"pairs": rules.pairs, "short_seq_prob": rules.short_seq_prob, "packing": rules.packing}
        key = tuple(of.values())
        if key not in self._row_counts:
            records = hashlib.sha256("".join(self.fingerprint).encode()).hexdigest()
            # If damage is left out, there may be fewer rows than were counted before the damage.
            kept = self.on_corrupt == "fail"
            self._row_counts[key] = RowCounts(self.directory, {"records": records, **of}, kept)
        return self._row_counts[key]

    def _batch(
        self, taken: list[tuple[_Source, np.ndarray]], max_length: int, rules: ExampleRules
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights of some rows of some shards."""
        vocabulary = self.tokenizer.vocabulary
        max_examples = max_examples_of(max_length, rules)
        nothing = lay_out_rows(
            np.zeros(0, np.int32),
            np.zeros((0, 5), np.int64),
            np.zeros(1, np.int64),
            max_length,
            max_examples,
            vocabulary,
        )
        parts = [
            lay_out_rows(source.plan.token_ids, *source.plan.examples_of(rows), max_length, max_examples, vocabulary)
            for source, rows in taken
        ]
        keys = [np.zeros(0, np.uint64), *(random_hash(*source.key, rows) for source, rows in taken)]
        laid_out = {name: np.concatenate([nothing[name], *(part[name] for part in parts)]) for name in nothing}
        names = ["token_ids", "segment_ids", "padding_mask"] + ["example_ids", "example_starts"] * rules.packing
        inputs = {name: laid_out[name] for name in names}
        if rules.is_one_way:
            return (inputs, *next_tokens(laid_out["token_ids"], laid_out["example_ids"], rules.objective))
        masked = mask_tokens(
            laid_out["token_ids"], laid_out["padding_mask"], vocabulary, rules.masking, np.concatenate(keys)
        )
        inputs |= {"token_ids": masked["token_ids"], "mask_positions": masked["mask_positions"]}
        if rules.pairs == "none":
            return inputs, masked["mask_ids"], masked["mask_weights"]
        pairs = [laid_out[name] if rules.packing else laid_out[name][:, 0] for name in ("labels", "label_weights")]
        return (
            inputs,
            {"masked_lm": masked["mask_ids"], "next_sentence": pairs[0]},
            {"masked_lm": masked["mask_weights"], "next_sentence": pairs[1]},
        )


def _count_name(shard: int, plan: int) -> str:
    return f"shard {shard}, plan {plan}"
