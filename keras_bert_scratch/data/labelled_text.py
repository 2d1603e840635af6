"""Labelled texts: a table of texts and labels in, batches for a classifier out."""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.tokenizer import BertTokenizer

TEXT_COLUMNS = ("text", "sentence", "sentence1")
PAIR_COLUMNS = ("text_pair", "sentence2")
LABEL_COLUMN = "label"


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
        self, tokenizer: BertTokenizer, batch_size: int = 32, max_length: int = 128, seed: int = 0, first_step: int = 0
    ) -> tf.data.Dataset:
        """Batches for `BertTextClassifier.fit` without end, every text once per epoch in an order drawn from `seed`.

        From `first_step` on it gives what a stream from the start gives there. The last batch of an epoch is filled up
        from the next one, so that all have the same size.
        """

        @functools.lru_cache(maxsize=2)
        def order(epoch: int) -> np.ndarray:
            return np.random.default_rng([seed, epoch]).permutation(len(self))

        def indices() -> Iterator[np.ndarray]:
            for step in itertools.count(first_step):
                # The epochs lie one after another; a batch may begin in one and end in the next.
                epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), len(self))
                yield np.concatenate([order(epoch)[places[epochs == epoch]] for epoch in np.unique(epochs).tolist()])

        dataset = tf.data.Dataset.from_generator(indices, output_signature=tf.TensorSpec([batch_size], tf.int64))
        return self._packed(dataset, tokenizer, max_length)

    def evaluation_batches(
        self, tokenizer: BertTokenizer, batch_size: int = 32, max_length: int = 128
    ) -> tf.data.Dataset:
        """Batches of every text once, in order; the last may be smaller."""
        return self._packed(tf.data.Dataset.range(len(self)).batch(batch_size), tokenizer, max_length)

    def steps_per_epoch(self, batch_size: int) -> int:
        """Training steps in which every text is seen once."""
        return math.ceil(len(self) / batch_size)

    def _packed(self, indices: tf.data.Dataset, tokenizer: BertTokenizer, max_length: int) -> tf.data.Dataset:
        texts, labels = tf.constant(list(self.texts)), tf.constant(list(self.labels), tf.int32)
        pairs = None if self.pairs is None else tf.constant(list(self.pairs))

        def pack(rows: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            first = tokenizer.tokenize(tf.gather(texts, rows))
            second = None if pairs is None else tokenizer.tokenize(tf.gather(pairs, rows))
            return pack_segments(first, second, max_length, tokenizer.vocabulary), tf.gather(labels, rows)

        return indices.map(pack, num_parallel_calls=2).prefetch(4)


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
