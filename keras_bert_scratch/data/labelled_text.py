"""Labelled texts: a table of texts and labels in, batches for a classifier out."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.batch_shares import rows_of_each
from keras_bert_scratch.data.length_bucketing import bucketed_batches, padded_lengths
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.packing import pack_segments, packed_lengths
from keras_bert_scratch.text.tokenizer import BertTokenizer

TEXT_COLUMNS = ("text", "sentence", "sentence1")
PAIR_COLUMNS = ("text_pair", "sentence2")
LABEL_COLUMN = "label"

TEXTS_AT_ONCE = 4096  # tokenized in one call; bounds its memory


@dataclasses.dataclass(frozen=True)
class LabelledText:
    """Texts, or pairs of texts, with a label each.

    Args:
        texts: the texts.
        labels: per text the place of its label in `label_names`.
        label_names: what the labels are called.
        pairs: the second texts, or `None`.

    Raises:
        UserError: lengths differ, or a label is outside the range.

    Example:
        >>> data = LabelledText(["good", "bad"], [1, 0], ["negative", "positive"])
        >>> len(data), data.majority_share
        (2, 0.5)
    """

    texts: Sequence[str]
    labels: Sequence[int]
    label_names: Sequence[str]
    pairs: Sequence[str] | None = None
    _token_ids: dict[BertTokenizer, tuple[tf.RaggedTensor, tf.RaggedTensor | None]] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.labels) == len(self.texts if self.pairs is None else self.pairs):
            raise UserError("LabelledText: texts, labels and pairs must be equally many")
        for row, label in enumerate(self.labels):
            if not 0 <= label < len(self.label_names):
                raise UserError(
                    f"LabelledText.labels: row {row} has {label!r}, but {len(self.label_names)} labels are numbered "
                    f"0 to {len(self.label_names) - 1}; number them so or name more labels"
                )

    @classmethod
    def read(cls, path: Path | str, label_names: Sequence[str] | None = None) -> LabelledText:
        """Reads a table with a header line, `.csv` by commas and anything else by tabs.

        Args:
            path: the file; columns `text` (or `sentence`, `sentence1`), perhaps `text_pair` (or `sentence2`), `label`.
            label_names: the labels that may occur; `None` takes those of the file, sorted.
        """
        rows, text, pair = _read_table(Path(path))
        names = list(label_names or sorted({row[LABEL_COLUMN] for _, row in rows}))
        if len(names) < 2:
            raise UserError(f"{path}: all labels are {names[0]!r}; a classifier needs at least two")
        places = {name: place for place, name in enumerate(names)}
        for line, row in rows:
            if row[LABEL_COLUMN] not in places:
                raise UserError(
                    f"{path}: line {line} has the label {row[LABEL_COLUMN]!r}, which is none of {', '.join(names)}; "
                    f"correct it or train with it"
                )
        return cls(
            [row[text] for _, row in rows],
            [places[row[LABEL_COLUMN]] for _, row in rows],
            names,
            [row[pair] for _, row in rows] if pair else None,
        )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def sha256(self) -> str:
        """What names these very texts and labels in a run's settings."""
        content = [list(self.texts), list(self.labels), list(self.label_names), list(self.pairs or ())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    @property
    def majority_share(self) -> float:
        """The accuracy of always answering the most frequent label."""
        return float(np.bincount(np.asarray(self.labels, np.int64)).max() / len(self))

    def training_batches(
        self,
        tokenizer: BertTokenizer,
        batch_size: int = 32,
        max_length: int = 128,
        seed: int = 0,
        first_step: int = 0,
        worker: int = 0,
        num_workers: int = 1,
    ) -> tf.data.Dataset:
        """Batches for `BertTextClassifier.fit` without end, every text once per epoch in an order drawn from `seed`.

        Texts of similar length share a batch, and a worker's share of it is only as long as its longest text, rounded
        up to a multiple of 8 (`bucketed_batches`). From `first_step` on it gives what a stream from the start gives
        there. The last batch of an epoch is filled up from the next one, so that all have the same number of rows.

        Args:
            tokenizer: makes the ids; all texts are tokenized at the first call, and kept.
            batch_size: rows, of all workers together.
            max_length: tokens of a row at most; longer texts are trimmed.
            seed: of the order.
            first_step: how many batches to leave out at the start; costs the same for any number.
            worker: which of the workers this is, from 0.
            num_workers: how many share each batch.

        Yields: `(inputs, labels)`: what `pack_segments` gives, int32 `(rows, length)`, and int32 `(rows,)`.

        Example:
            >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
            >>> data = LabelledText(["play", "playing", "play " * 20], [0, 1, 1], ["no", "yes"])
            >>> batches = data.training_batches(BertTokenizer(vocabulary), batch_size=1, max_length=16)
            >>> sorted(inputs["token_ids"].shape[1] for inputs, labels in batches.take(3))
            [8, 8, 16]
        """
        share = rows_of_each(batch_size, num_workers)
        num_tokens = self._num_tokens(tokenizer, max_length)
        mine = slice(worker * share, (worker + 1) * share)
        dataset = tf.data.Dataset.from_generator(
            lambda: (texts[mine] for texts in bucketed_batches(num_tokens, batch_size, seed, first_step)),
            output_signature=tf.TensorSpec([share], tf.int64),
        )
        return self._packed(dataset, tokenizer, max_length)

    def evaluation_batches(
        self, tokenizer: BertTokenizer, batch_size: int = 32, max_length: int = 128
    ) -> tf.data.Dataset:
        """Batches of every text once, in order, padded as in training; the last may have fewer rows."""
        return self._packed(tf.data.Dataset.range(len(self)).batch(batch_size), tokenizer, max_length)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Training steps in which every text is seen once."""
        return math.ceil(len(self) / batch_size)

    def fill(self, tokenizer: BertTokenizer, batch_size: int = 32, max_length: int = 128, seed: int = 0) -> float:
        """The share of places that hold tokens, not padding, in the first epoch of one worker's batches."""
        num_tokens = self._num_tokens(tokenizer, max_length)
        batches = itertools.islice(bucketed_batches(num_tokens, batch_size, seed), self.steps_per_epoch(batch_size))
        texts = np.stack(list(batches))
        lengths = padded_lengths(num_tokens, max_length)[texts].max(axis=1)
        return float(num_tokens[texts].sum() / (lengths.sum() * batch_size))

    def _packed(self, batches: tf.data.Dataset, tokenizer: BertTokenizer, max_length: int) -> tf.data.Dataset:
        """Batches of texts' numbers as inputs and labels."""
        labels = tf.constant(list(self.labels), tf.int32)
        segments = self._tokenized(tokenizer)
        lengths = tf.constant(padded_lengths(self._num_tokens(tokenizer, max_length), max_length))

        def pack(texts: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            first, second = (None if ids is None else tf.gather(ids, texts) for ids in segments)
            length = tf.reduce_max(tf.gather(lengths, texts))
            packed = pack_segments(first, second, length, tokenizer.vocabulary)
            # Gathering ragged rows forgets how many they are.
            inputs = {name: tf.ensure_shape(values, [texts.shape[0], None]) for name, values in packed.items()}
            return inputs, tf.gather(labels, texts)

        return batches.map(pack, num_parallel_calls=2).prefetch(4)

    def _num_tokens(self, tokenizer: BertTokenizer, max_length: int) -> np.ndarray:
        return packed_lengths(*self._tokenized(tokenizer), max_length).numpy()

    def _tokenized(self, tokenizer: BertTokenizer) -> tuple[tf.RaggedTensor, tf.RaggedTensor | None]:
        """The ids of all texts, and of their pairs, made once."""

        def token_ids(texts: Sequence[str]) -> tf.RaggedTensor:
            parts = (texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE))
            return tf.concat([tokenizer.tokenize(part) for part in parts], axis=0)

        if tokenizer not in self._token_ids:
            second = None if self.pairs is None else token_ids(self.pairs)
            self._token_ids[tokenizer] = token_ids(self.texts), second
        return self._token_ids[tokenizer]


def _read_table(path: Path) -> tuple[list[tuple[int, dict[str, str]]], str, str | None]:
    """Numbered rows, and the names of the text's and the pair's columns."""
    csv.field_size_limit(1 << 24)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            form = {} if path.suffix == ".csv" else {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
            reader = csv.DictReader(file, **form)
            columns = reader.fieldnames or []
            text = next((name for name in TEXT_COLUMNS if name in columns), None)
            pair = next((name for name in PAIR_COLUMNS if name in columns), None)
            if text is None or LABEL_COLUMN not in columns:
                raise UserError(
                    f"{path}: the first line must name the columns '{TEXT_COLUMNS[0]}' and '{LABEL_COLUMN}'; "
                    f"it names {', '.join(columns) or 'nothing'}"
                )
            rows = []
            for row in reader:
                if any(row[name] is None for name in (text, pair or text, LABEL_COLUMN)):
                    raise UserError(
                        f"{path}: line {reader.line_num} has fewer columns than the first line; complete it"
                    )
                rows.append((reader.line_num, row))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 ({error.reason} at byte {error.start}); convert it with iconv") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a table ({error})") from None
    if not rows:
        raise UserError(f"{path}: holds no rows; give labelled texts")
    return rows, text, pair
