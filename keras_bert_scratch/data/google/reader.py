"""From Google's records to pretraining batches: a pure function of (files, seed, step), for one worker or many.

epoch    Every epoch permutes the files; a file is read in its own order, window by window.
window   At most `WINDOW` examples, which are in memory together and permuted as a whole.
masks    As stored in the records, the same in every epoch.
workers  Each reads an equal slice of every batch.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.google.files import count_examples, fingerprint_of, record_files
from keras_bert_scratch.data.google.schema import FEATURES, LABEL, Examples
from keras_bert_scratch.data.google.windows import WINDOW, find_size, read_windows
from keras_bert_scratch.data.pretraining.masking import MaskingRule
from keras_bert_scratch.data.pretraining.reader import BERT_RULES, ON_CORRUPT, PretrainingRecords
from keras_bert_scratch.data.pretraining.row_counts import RowCounts
from keras_bert_scratch.data.pretraining.row_stream import RowRange, Shards, batches_of, row_ranges_from
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.records.folder import MANIFEST_FILE
from keras_bert_scratch.data.records.schema import (
    DOCUMENTS_FORMAT,
    GOOGLE_FORMAT,
    Manifest,
    check_vocabulary,
    load_tokenizer,
)
from keras_bert_scratch.data.rng import permutation
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import Address, AnyPath, listed, path_of, reading
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary_files import VOCABULARY_FILE, has_vocabulary

# Our names of the inputs, and Google's names.
INPUTS = {
    "token_ids": "input_ids",
    "segment_ids": "segment_ids",
    "padding_mask": "input_mask",
    "mask_positions": "masked_lm_positions",
}

# The rules that `check` does not compare and that were decided when the records were made; the masks are always static.
DECIDED = ("short_seq_prob", *(field.name for field in dataclasses.fields(MaskingRule)))

NAMED = 5  # so many of the records that are left out of a file are named in the log

log = logging.getLogger(__name__)


class GoogleRecords:
    """Google's records, written by any program, as an endless stream of pretraining batches.

    Args:
        paths: str, path or a list of these. A folder, a file or a pattern like `"part-*"`, on this machine or at an
            address such as `gs://bucket/records`; files may be compressed by gzip.
        tokenizer: `BertTokenizer`, default the one in the folder. Must have the vocabulary that made the ids.
        on_corrupt: `"fail"` (default), or `"skip"` to log and leave out what is damaged, missing or not an example.

    Raises:
        UserError: there are no records, no tokenizer, or the tokenizer has another vocabulary.

    Example:
        >>> from keras_bert_scratch.data.google.writer import write_google_examples
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> _ = build_records(["play.txt"], BertTokenizer(vocabulary), "records")
        >>> _ = write_google_examples("records", "examples", max_length=16)
        >>> inputs, labels, weights = next(iter(GoogleRecords("examples").batches(batch_size=2)))
        >>> tuple(inputs["token_ids"].shape), tuple(labels["masked_lm"].shape)
        ((2, 16), (2, 3))
    """

    def __init__(
        self,
        paths: str | Path | Address | Sequence[str | Path | Address],
        tokenizer: BertTokenizer | None = None,
        on_corrupt: str = "fail",
    ) -> None:
        if on_corrupt not in ON_CORRUPT:
            raise UserError(f"`on_corrupt`: {on_corrupt!r} is unknown; choose one of {', '.join(ON_CORRUPT)}")
        self.on_corrupt = on_corrupt
        entries = listed(paths)
        with reading(paths if len(entries) != 1 else entries[0]):
            folder = path_of(entries[0]) if len(entries) == 1 and path_of(entries[0]).is_dir() else None
            whole = folder is not None and (folder / MANIFEST_FILE).exists()
        self.manifest = Manifest.load(folder) if folder and whole else None
        if folder and self.manifest:
            if self.manifest.format != GOOGLE_FORMAT:
                raise UserError(f"{folder}: has the format {self.manifest.format!r}; read it as PretrainingRecords")
            if on_corrupt == "fail":
                self.manifest.check_shards(folder)
            tokenizer = tokenizer or load_tokenizer(folder, self.manifest)
            check_vocabulary(self.manifest, tokenizer, folder)
            files = [folder / shard["file"] for shard in self.manifest.shards]
        else:
            files = record_files(paths)
            if tokenizer is None and folder and _has_vocabulary(folder):
                tokenizer = BertTokenizer.load(folder)
            if tokenizer is None:
                raise UserError(f"{paths}: has no vocabulary; set `vocab` to the one that the ids were made with")
        self.files = [file for file in files if file.exists()]
        for file in sorted(set(files) - set(self.files)):
            log.warning("%s: left out, because it is missing", file)
        self.directory = folder or files[0].parent
        self.tokenizer = tokenizer
        self.size = find_size(self.files, skip_damage=on_corrupt == "skip")
        self._logged: set[AnyPath] = set()
        known = self.manifest.shards if self.manifest and on_corrupt == "fail" else []
        self._num_examples = {file: shard["examples"] for file, shard in enumerate(known)}
        kept = on_corrupt == "fail" and not known
        self._counts = RowCounts(self.directory, {"files": self.fingerprint if kept else None}, kept)

    @property
    def vocab_size(self) -> int:
        """How many tokens the vocabulary has."""
        return len(self.tokenizer.vocabulary)

    @property
    def fingerprint(self) -> list[str]:
        """Identifies these records in a run's settings: a hash of each file; without a manifest, of its two ends."""
        if self.manifest:
            return [shard["sha256"] for shard in self.manifest.shards]
        return [fingerprint_of(file) for file in self.files]

    def batches(
        self,
        batch_size: int = 32,
        max_length: int | None = None,
        seed: int = 0,
        first_step: int = 0,
        rules: ExampleRules = BERT_RULES,
        worker: int = 0,
        num_workers: int = 1,
    ) -> tf.data.Dataset:
        """Endless batches for `fit`: `(inputs, labels, sample_weights)`, as from `PretrainingRecords.batches`.

        The batches are a pure function of the files, the arguments and the step: a stream that begins at `first_step`
        continues exactly as one that began at 0. Each epoch yields every example once.

        Args:
            batch_size: int, default 32. Rows of the global batch, for all workers together.
            max_length: int, default that of the records. Tokens per row; the records have one length only.
            seed: int, default 0. Seed of the order.
            first_step: int, default 0. How many batches to skip; the records of skipped files are counted, not read.
            rules: `ExampleRules`, default BERT's. The kind of pairs that the records must hold; everything else was
                decided when they were made.
            worker: int, default 0. Index of this worker.
            num_workers: int, default 1. How many workers share each batch, in equal slices.

        Inputs: `token_ids`, `segment_ids`, `padding_mask` int32 `(batch, length)`, `mask_positions` int32 `(batch,
        predictions)`. Labels and weights: a dict of `masked_lm` `(batch, predictions)`, `next_sentence` `(batch,)`.

        Raises:
            UserError: the records have another length or are for another task.
        """
        self.check(self.size.max_length if max_length is None else max_length, rules)
        return batches_of(self._rows(seed), seed, self._batch, batch_size, first_step, worker, num_workers)

    def non_padding_fraction(
        self, max_length: int | None = None, seed: int = 0, rules: ExampleRules = BERT_RULES
    ) -> float:
        """The fraction of positions that hold tokens, not padding, in the first window that is read."""
        self.check(self.size.max_length if max_length is None else max_length, rules)
        return float(next(row_ranges_from(0, self._rows(seed), seed)).source["input_mask"].mean())

    def lengths(self) -> np.ndarray:
        """The number of tokens of each example of the first window."""
        return next(self._windows(0, 0))["input_mask"].sum(axis=1)

    def check(self, max_length: int, rules: ExampleRules) -> None:
        """Raises `UserError` unless the records hold rows of this length, for this task."""
        if max_length != self.size.max_length:
            raise UserError(
                f"`max_length`: {self.directory} contains examples of {self.size.max_length} tokens, not {max_length}; "
                f"give `max_length={self.size.max_length}` or rebuild the records"
            )
        pairs = self.manifest.options["rules"]["pairs"] if self.manifest else rules.pairs
        if rules.pairs != pairs or pairs == "none":
            raise UserError(
                f"`pairs`: {self.directory} contains pairs of the kind {'next' if pairs == 'none' else pairs}, "
                f"not {rules.pairs}; choose that kind, or give records of the format documents"
            )
        if rules.packing or rules.objective != "masked":
            raise UserError(
                f"{self.directory}: contains finished masked examples, one per row; give `packing=False` and "
                f"`objective='masked'`, or records of the format documents"
            )

    def check_effect(self, rules: ExampleRules) -> None:
        """Raises `UserError` for rules that are neither BERT's nor those of the records, which they cannot change."""
        stored = ExampleRules.from_dict(self.manifest.options["rules"]) if self.manifest else BERT_RULES
        unused = [name for name in rules.differing(BERT_RULES, stored) if name in DECIDED]
        if unused:
            raise UserError(
                f"{', '.join(f'`{name}`' for name in unused)}: no effect, because {self.directory} contains finished "
                f"examples with their masks; leave this out, or give records of the format documents"
            )

    def _rows(self, seed: int) -> Shards[Examples]:
        """The stream of all rows; each window of a file is a row range."""

        def row_ranges(file: int, epoch: int, start: int, first_row: int) -> Iterator[RowRange[Examples]]:
            # Whole windows can be skipped unparsed if every record is either an example or an error.
            first = max(0, first_row - start) // WINDOW if self.on_corrupt == "fail" else 0
            end = start + first * WINDOW
            for number, window in enumerate(self._windows(file, first), first):
                size = len(window[LABEL])
                yield RowRange(end, window, permutation(size, "rows", seed, epoch, file, number))
                end += size
            if end - start != self._num_examples.get(file, end - start):
                raise UserError(
                    f"{self.files[file]}: contains {end - start} examples, but {self._num_examples[file]} were "
                    f"counted before; copy it again or rebuild the records"
                )

        return Shards(str(self.directory), len(self.files), 1, lambda file, epoch: self._count(file), row_ranges)

    def _windows(self, file: int, first: int) -> Iterator[Examples]:
        on_left_out = self._log if self.on_corrupt == "skip" else None
        return read_windows(self.files[file], self.size, self.tokenizer.vocabulary, on_left_out, first)

    def _log(self, path: AnyPath, left_out: list[str]) -> None:
        """Logs once for each file what is left out of it."""
        if path not in self._logged:
            self._logged.add(path)
            named = "; ".join(left_out[:NAMED]) + "; ..." * (len(left_out) > NAMED)
            log.warning("%s: left out %d records: %s", path, len(left_out), named)

    def _count(self, file: int) -> int:
        """The number of examples in a file; if damage is left out, they must all be read to count them."""
        if file not in self._num_examples:
            count = self._counts.get(f"file {file}")
            if count is None:
                start = time.perf_counter()
                if self.on_corrupt == "fail":
                    count = count_examples(self.files[file])
                else:
                    count = sum(len(window[LABEL]) for window in self._windows(file, first=0))
                self._counts.add(f"file {file}", count, time.perf_counter() - start)
            self._num_examples[file] = count
        return self._num_examples[file]

    def _batch(self, taken: list[tuple[Examples, np.ndarray]]) -> tuple[Any, Any, Any]:
        """Inputs, labels and weights of some rows of some windows."""
        columns = {}
        for name in FEATURES:
            dtype = np.float32 if name == "masked_lm_weights" else np.int32
            parts = [np.zeros((0, self.size.of(name)), dtype), *(window[name][rows] for window, rows in taken)]
            columns[name] = np.concatenate(parts, dtype=dtype)
        inputs = {ours: columns[name] for ours, name in INPUTS.items()}
        labels = columns[LABEL][:, 0]
        return (
            inputs,
            {"masked_lm": columns["masked_lm_ids"], "next_sentence": labels},
            {"masked_lm": columns["masked_lm_weights"], "next_sentence": np.ones(labels.shape, np.float32)},
        )


def open_records(
    path: str | Path | Address,
    tokenizer: BertTokenizer | None = None,
    on_corrupt: str = "fail",
    vocab: str | Path | Address | None = None,
) -> PretrainingRecords | GoogleRecords:
    """Opens records for pretraining, of either format: `documents`, or Google's from any program.

    Args:
        path: str or path. A folder of either format; for Google's also a file or a pattern. On this machine or at an
            address such as `gs://bucket/records`.
        tokenizer: `BertTokenizer`, default the one stored with the records. The tokenizer of the model to train.
        on_corrupt: `"fail"` (default), or `"skip"` to log and leave out what is damaged.
        vocab: str or path, default None. Instead of `tokenizer`: a `vocab.txt`, or a folder that holds one.

    Raises:
        UserError: there are no records, or their vocabulary is unknown or another one.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> _ = build_records(["play.txt"], BertTokenizer(vocabulary), "documents")
        >>> open_records("documents").vocab_size
        7
    """
    if tokenizer is None and vocab is not None:
        tokenizer = BertTokenizer.load(vocab)
    with reading(path):
        has_manifest = (path_of(path) / MANIFEST_FILE).exists()
    if has_manifest and Manifest.load(path).format == DOCUMENTS_FORMAT:
        return PretrainingRecords(path, tokenizer, on_corrupt)
    return GoogleRecords(path, tokenizer, on_corrupt)


def _has_vocabulary(folder: AnyPath) -> bool:
    return has_vocabulary(folder) if isinstance(folder, Path) else (folder / VOCABULARY_FILE).exists()
