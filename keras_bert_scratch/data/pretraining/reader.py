"""From records to pretraining batches: a pure function of (records, seed, step), for one worker or many.

epoch    takes the shards in an order of its own, and a shard's rows in an order of their own
plan     which examples and rows a shard gives: one of `PLANS`, taken in turn by the epochs; so what comes before a
         step can be counted, not read through
masks    new in every epoch, from a key per row
workers  take equal slices of every batch
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.pretraining.layout import lay_out_rows
from keras_bert_scratch.data.pretraining.left_to_right import next_tokens
from keras_bert_scratch.data.pretraining.masking import mask_tokens
from keras_bert_scratch.data.pretraining.row_stream import Shards, Visit, batches_of
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
from keras_bert_scratch.text.tokenizer import BertTokenizer

PLANS = 10  # as many as Google's code makes copies of a corpus, each with other pairs (its `dupe_factor`)
ON_CORRUPT = ("fail", "skip")

BERT_RULES = ExampleRules()

log = logging.getLogger(__name__)


class _Source(NamedTuple):
    """One epoch's rows of one shard."""

    plan: ShardPlan
    key: tuple[Any, ...]  # of the masks


class PretrainingRecords:
    """A folder of records as an endless stream of pretraining batches.

    Args:
        directory: what `build_records` made.
        tokenizer: of the model to be trained; `None` takes the one stored with the records.
        on_corrupt: `"fail"`, or `"skip"` to log and leave out records and shards that are damaged or missing.

    Raises:
        UserError: the folder holds no whole records, or they were made with another vocabulary.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> manifest = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> inputs, labels, weights = next(iter(PretrainingRecords("records").batches(batch_size=2, max_length=16)))
        >>> tuple(inputs["token_ids"].shape), tuple(labels["masked_lm"].shape)
        ((2, 16), (2, 3))
    """

    def __init__(self, directory: Path | str, tokenizer: BertTokenizer | None = None, on_corrupt: str = "fail") -> None:
        if on_corrupt not in ON_CORRUPT:
            raise UserError(f"--on-corrupt: {on_corrupt!r} is unknown; choose one of {', '.join(ON_CORRUPT)}")
        self.directory = Path(directory)
        self.on_corrupt = on_corrupt
        self.manifest = Manifest.load(directory)
        if self.manifest.format != DOCUMENTS_FORMAT:
            raise UserError(
                f"{directory}: holds records of the format {self.manifest.format!r}; read them as GoogleRecords"
            )
        if on_corrupt == "fail":
            self.manifest.check_shards(directory)
        self.tokenizer = tokenizer or load_tokenizer(directory, self.manifest)
        check_vocabulary(self.manifest, self.tokenizer, directory)
        self._num_rows: dict[tuple[Any, ...], int] = {}
        self._told: set[int] = set()

    @property
    def vocab_size(self) -> int:
        """How many tokens the vocabulary has."""
        return self.manifest.vocab_size

    @property
    def fingerprint(self) -> list[str]:
        """What names these records in a run's settings: the hash of each shard."""
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
        """Batches for `fit`, without end: `(inputs, labels, sample_weights)`.

        A pure function of the records, the arguments and the step: from `first_step` on it gives what a stream from the
        start gives there. Each epoch has every example of its plan once. A batch's rows are of one shard (at its end,
        of two), which holds the documents that chance dealt to it; the order within is wholly random.

        Args:
            batch_size: rows, of all workers together.
            max_length: tokens of a row.
            seed: of order, pairs and masks.
            first_step: how many batches to leave out at the start; costs the same for any number.
            rules: which examples to make.
            worker: which of the workers this is, from 0.
            num_workers: how many share each batch, in equal slices.

        Inputs: `token_ids`, `segment_ids`, `padding_mask` int32 `(batch, length)`, `mask_positions` int32 `(batch,
        predictions)`; with packing also `example_ids` `(batch, length)` and `example_starts` `(batch, examples)`.

        Labels and weights: a dict of `masked_lm` `(batch, predictions)` and `next_sentence` `(batch,)`, or with packing
        `(batch, examples)`. Without pairs there is no dict, but the masked words' array; left to right, the next
        tokens' `(batch, length)`, and no `mask_positions`.

        Raises:
            UserError: sizes that do not fit, or pairs from a single document.
        """
        self.check(max_length, rules)

        return batches_of(
            self._rows(max_length, seed, rules),
            seed,
            lambda taken: self._batch(taken, max_length, rules),
            batch_size,
            first_step,
            worker,
            num_workers,
        )

    def fill(self, max_length: int, seed: int = 0, rules: ExampleRules = BERT_RULES) -> float:
        """The share of places that hold tokens, not padding, in the rows of the first shard."""
        self.check(max_length, rules)
        return self._plan(0, max_length, seed, 0, rules).fill

    def check(self, max_length: int, rules: ExampleRules) -> None:
        """Raises `UserError` unless rows of this length can be made by these rules."""
        if max_length < 8:
            raise UserError(f"--length: must be at least 8 to hold two sentences, not {max_length}")
        if rules.pairs == "next" and self.manifest.total("documents") < 2:
            raise UserError(
                f"{self.directory}: is a single document, but next-sentence pairs need two; "
                f"part it by blank lines, give several files with '--documents files', or do without: '--pairs none'"
            )

    def documents(self, shard: int) -> Documents:
        """All documents of a shard; raises `UserError` if it is damaged, or logs what is left out."""
        facts = self.manifest.shards[shard]
        dtype = token_dtype(self.manifest.vocab_size)
        path = self.directory / facts["file"]
        documents, left_out = read_shard(path, dtype, facts, self.on_corrupt == "skip")
        if left_out and shard not in self._told:
            self._told.add(shard)
            log.warning("%s: left out %s", path, left_out)
        return documents

    def lengths(self) -> np.ndarray:
        """The number of tokens of each document of the first shard."""
        documents = self.documents(0)
        ends = np.concatenate([[0], np.cumsum(documents.sentence_lengths)])
        return np.diff(ends[np.concatenate([[0], np.cumsum(documents.document_lengths)])])

    def _rows(self, max_length: int, seed: int, rules: ExampleRules) -> Shards[_Source]:
        """The stream of all rows; a shard is one visit."""

        def visits(shard: int, epoch: int, start: int, first_row: int) -> Iterator[Visit[_Source]]:
            plan = self._plan(shard, max_length, seed, epoch % PLANS, rules)
            key = ("masks", seed, epoch % PLANS if rules.static_masks else epoch, shard)
            yield Visit(start, _Source(plan, key), permutation(plan.num_rows, "rows", seed, epoch, shard))

        def num_rows(shard: int, epoch: int) -> int:
            return self._rows_of(shard, max_length, seed, epoch % PLANS, rules)

        return Shards(str(self.directory), len(self.manifest.shards), PLANS, num_rows, visits)

    def _rows_of(self, shard: int, max_length: int, seed: int, plan: int, rules: ExampleRules) -> int:
        key = (shard, max_length, seed, plan, rules)
        if key not in self._num_rows:
            self._num_rows[key] = self._plan(shard, max_length, seed, plan, rules).num_rows
        return self._num_rows[key]

    def _plan(self, shard: int, max_length: int, seed: int, plan: int, rules: ExampleRules) -> ShardPlan:
        return ShardPlan.make(self.documents(shard), max_length, rules, seed, plan, shard)

    def _batch(
        self, taken: list[tuple[_Source, np.ndarray]], max_length: int, rules: ExampleRules
    ) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights of some rows of some shards."""
        vocabulary = self.tokenizer.vocabulary
        room = max_examples_of(max_length, rules)
        nothing = lay_out_rows(
            np.zeros(0, np.int32), np.zeros((0, 5), np.int64), np.zeros(1, np.int64), max_length, room, vocabulary
        )
        parts = [
            lay_out_rows(source.plan.token_ids, *source.plan.examples_of(rows), max_length, room, vocabulary)
            for source, rows in taken
        ]
        keys = [np.zeros(0, np.uint64), *(random_hash(*source.key, rows) for source, rows in taken)]
        laid_out = {name: np.concatenate([nothing[name], *(part[name] for part in parts)]) for name in nothing}
        names = ["token_ids", "segment_ids", "padding_mask"] + ["example_ids", "example_starts"] * rules.packing
        inputs = {name: laid_out[name] for name in names}
        if rules.objective == "left-to-right":
            return (inputs, *next_tokens(laid_out["token_ids"], laid_out["example_ids"]))
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
