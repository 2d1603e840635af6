"""From Google's records to pretraining batches: a pure function of (files, seed, step), for one worker or many.

epoch    takes the files in an order of its own, and each file in its own order, window by window
window   at most `WINDOW` examples, which are in memory and shuffled whole; how far shuffling reaches within a file
masks    stand in the records, the same in every epoch
workers  take equal slices of every batch
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.google.files import count_examples, fingerprint_of, record_files
from keras_bert_scratch.data.google.schema import FEATURES, LABEL, Examples
from keras_bert_scratch.data.google.windows import WINDOW, find_size, read_windows
from keras_bert_scratch.data.pretraining.reader import BERT_RULES, ON_CORRUPT, PretrainingRecords
from keras_bert_scratch.data.pretraining.row_stream import Shards, Visit, batches_of, visits_from
from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.records.schema import (
    DOCUMENTS_FORMAT,
    GOOGLE_FORMAT,
    MANIFEST_FILE,
    Manifest,
    check_vocabulary,
    load_tokenizer,
)
from keras_bert_scratch.data.rng import permutation
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.tokenizer import BertTokenizer
from keras_bert_scratch.text.vocabulary_files import has_vocabulary

# Our names of the inputs, and Google's.
INPUTS = {
    "token_ids": "input_ids",
    "segment_ids": "segment_ids",
    "padding_mask": "input_mask",
    "mask_positions": "masked_lm_positions",
}

NAMED = 5  # so many of the records that a file lacks are named in the log

log = logging.getLogger(__name__)


class GoogleRecords:
    """Google's records, of whoever made them, as an endless stream of pretraining batches.

    Args:
        paths: a folder, a file, a pattern like `"part-*"`, or a list of these; plain or gzip.
        tokenizer: with the vocabulary that made the ids; `None` takes the one in the folder.
        on_corrupt: `"fail"`, or `"skip"` to log and leave out what is damaged, missing or no such example.

    Raises:
        UserError: there are no such records, no tokenizer, or one of another vocabulary.

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
        self, paths: Path | str | Sequence[Path | str], tokenizer: BertTokenizer | None = None, on_corrupt: str = "fail"
    ) -> None:
        if on_corrupt not in ON_CORRUPT:
            raise UserError(f"--on-corrupt: {on_corrupt!r} is unknown; choose one of {', '.join(ON_CORRUPT)}")
        self.on_corrupt = on_corrupt
        folder = Path(paths) if isinstance(paths, (str, Path)) and Path(paths).is_dir() else None
        self.manifest = Manifest.load(folder) if folder and (folder / MANIFEST_FILE).exists() else None
        if folder and self.manifest:
            if self.manifest.format != GOOGLE_FORMAT:
                raise UserError(f"{folder}: holds the format {self.manifest.format!r}; read it as PretrainingRecords")
            if on_corrupt == "fail":
                self.manifest.check_shards(folder)
            tokenizer = tokenizer or load_tokenizer(folder, self.manifest)
            check_vocabulary(self.manifest, tokenizer, folder)
            files = [folder / shard["file"] for shard in self.manifest.shards]
        else:
            files = record_files(paths)
            if tokenizer is None and folder and has_vocabulary(folder):
                tokenizer = BertTokenizer.load(folder)
            if tokenizer is None:
                raise UserError(f"{paths}: has no vocabulary beside it; give the one that made the ids with '--vocab'")
        self.files = [file for file in files if file.exists()]
        for file in sorted(set(files) - set(self.files)):
            log.warning("%s: left out, it is missing", file)
        self.directory = folder or files[0].parent
        self.tokenizer = tokenizer
        self.size = find_size(self.files, skip_damage=on_corrupt == "skip")
        self._logged: set[Path] = set()
        known = self.manifest.shards if self.manifest and on_corrupt == "fail" else []
        self._num_examples = {file: shard["examples"] for file, shard in enumerate(known)}

    @property
    def vocab_size(self) -> int:
        """How many tokens the vocabulary has."""
        return len(self.tokenizer.vocabulary)

    @property
    def fingerprint(self) -> list[str]:
        """What names these records in a run's settings: a hash of each file, or of a foreign file's two ends."""
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
        """Batches for `fit`, without end: `(inputs, labels, sample_weights)`, as `PretrainingRecords.batches` gives.

        A pure function of the files, the arguments and the step: from `first_step` on it gives what a stream from the
        start gives there. Each epoch has every example once.

        Args:
            batch_size: rows, of all workers together.
            max_length: tokens of a row, as the records have; `None` takes theirs.
            seed: of the order.
            first_step: how many batches to leave out at the start; the records of the files before are only counted.
            rules: the pairs that the records should hold; the rest was decided when they were made.
            worker: which of the workers this is, from 0.
            num_workers: how many share each batch, in equal slices.

        Inputs: `token_ids`, `segment_ids`, `padding_mask` int32 `(batch, length)`, `mask_positions` int32 `(batch,
        predictions)`. Labels and weights: a dict of `masked_lm` `(batch, predictions)`, `next_sentence` `(batch,)`.

        Raises:
            UserError: the records are of another length or for another task.
        """
        self.check(self.size.max_length if max_length is None else max_length, rules)
        return batches_of(self._rows(seed), seed, self._batch, batch_size, first_step, worker, num_workers)

    def fill(self, max_length: int | None = None, seed: int = 0, rules: ExampleRules = BERT_RULES) -> float:
        """The share of the places that hold tokens, not padding, in the first window that is read."""
        self.check(self.size.max_length if max_length is None else max_length, rules)
        return float(next(visits_from(0, self._rows(seed), seed)).source["input_mask"].mean())

    def lengths(self) -> np.ndarray:
        """The number of tokens of each example of the first window."""
        return next(self._windows(0, 0))["input_mask"].sum(axis=1)

    def check(self, max_length: int, rules: ExampleRules) -> None:
        """Raises `UserError` unless the records hold rows of this length, for this task."""
        if max_length != self.size.max_length:
            raise UserError(
                f"--length: {self.directory} holds examples of {self.size.max_length} tokens, not {max_length}; "
                f"give '--length {self.size.max_length}' or make the records again"
            )
        pairs = self.manifest.options["rules"]["pairs"] if self.manifest else rules.pairs
        if rules.pairs != pairs or pairs == "none":
            raise UserError(
                f"--pairs: {self.directory} holds pairs of the kind {'next' if pairs == 'none' else pairs}, not "
                f"{rules.pairs}; give that kind or records of the format documents"
            )
        if rules.packing or rules.objective != "masked":
            raise UserError(
                f"{self.directory}: holds finished examples with masked words, one a row; do without '--packing' and "
                f"another objective, or give records of the format documents"
            )

    def _rows(self, seed: int) -> Shards[Examples]:
        """The stream of all rows; a file's windows are its visits."""

        def visits(file: int, epoch: int, start: int, first_row: int) -> Iterator[Visit[Examples]]:
            # Whole windows may be stepped over unparsed where every record is an example, or else an error.
            first = max(0, first_row - start) // WINDOW if self.on_corrupt == "fail" else 0
            end = start + first * WINDOW
            for number, window in enumerate(self._windows(file, first), first):
                size = len(window[LABEL])
                yield Visit(end, window, permutation(size, "rows", seed, epoch, file, number))
                end += size
            if end - start != self._num_examples.get(file, end - start):
                raise UserError(
                    f"{self.files[file]}: holds {end - start} examples, not {self._num_examples[file]} as was said; "
                    f"copy it or make the records again"
                )

        return Shards(str(self.directory), len(self.files), 1, lambda file, epoch: self._count(file), visits)

    def _windows(self, file: int, first: int) -> Iterator[Examples]:
        on_left_out = self._log if self.on_corrupt == "skip" else None
        return read_windows(self.files[file], self.size, self.tokenizer.vocabulary, on_left_out, first)

    def _log(self, path: Path, left_out: list[str]) -> None:
        """Says once for each file what is left out of it."""
        if path not in self._logged:
            self._logged.add(path)
            named = "; ".join(left_out[:NAMED]) + "; ..." * (len(left_out) > NAMED)
            log.warning("%s: left out %d of its records: %s", path, len(left_out), named)

    def _count(self, file: int) -> int:
        """How many examples a file gives; where damage is left out, only reading them all tells."""
        if file not in self._num_examples:
            if self.on_corrupt == "fail":
                self._num_examples[file] = count_examples(self.files[file])
            else:
                self._num_examples[file] = sum(len(window[LABEL]) for window in self._windows(file, first=0))
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
    path: Path | str,
    tokenizer: BertTokenizer | None = None,
    on_corrupt: str = "fail",
    vocab: Path | str | None = None,
) -> PretrainingRecords | GoogleRecords:
    """Records to pretrain on, of either format: `documents`, or Google's from anywhere.

    Args:
        path: a folder of either; of Google's also a file or a pattern.
        tokenizer: of the model to be trained; `None` takes the one stored with the records.
        on_corrupt: `"fail"`, or `"skip"` to log and leave out what is damaged.
        vocab: in place of `tokenizer`, a `vocab.txt` or a folder that holds one.

    Raises:
        UserError: there are no records, or their vocabulary is another or unknown.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> _ = Path("play.txt").write_text("Playing. Play!\\n\\nPlay? Play.")
        >>> _ = build_records(["play.txt"], BertTokenizer(vocabulary), "documents")
        >>> open_records("documents").vocab_size
        7
    """
    if tokenizer is None and vocab is not None:
        tokenizer = BertTokenizer.load(vocab) if Path(vocab).is_dir() else BertTokenizer(vocab)
    if (Path(path) / MANIFEST_FILE).exists() and Manifest.load(path).format == DOCUMENTS_FORMAT:
        return PretrainingRecords(path, tokenizer, on_corrupt)
    return GoogleRecords(path, tokenizer, on_corrupt)
