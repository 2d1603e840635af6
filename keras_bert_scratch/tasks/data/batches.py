"""Batches for fine-tuning: examples of similar length share a batch, and seed and step determine the order."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.autotuning import without_autotuning
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.data.length_bucketing import TokenBudget, bucketed_batches, sorted_batches
from keras_bert_scratch.tasks.data.token_counter import TokenCounter
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task

BATCHES_LOOKED_AT = 200


@dataclasses.dataclass(frozen=True, eq=False)
class TaskData:
    """Examples of a task, with the batches for training and evaluation.

    Args:
        task: Task. Its `features` and `targets` build the batches.
        spec: Spec. With columns and labels.
        examples: Examples. The result of `task.read`.
        tokenizer: BertTokenizer. The model's tokenizer.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> rows = {"text": ["play", "playing", "play " * 20], "label": ["no", "yes", "yes"]}
        >>> data = TaskData.read("classification", rows, BertTokenizer(vocabulary), max_length=16)
        >>> data.spec.labels, sorted(x["token_ids"].shape[1] for x, y in data.training_batches(1).take(3))
        (('no', 'yes'), [4, 4, 16])
    """

    task: Task
    spec: Spec
    examples: Examples
    tokenizer: Any

    @classmethod
    def read(
        cls,
        task: str,
        source: Any,
        tokenizer: Any,
        max_length: int = 128,
        like: TaskData | None = None,
        on_bad_row: str = "fail",
    ) -> TaskData:
        """Reads labelled rows.

        Args:
            task: str. Name of a task, such as `"classification"`.
            source: path of a table, or a mapping of columns in memory.
            tokenizer: BertTokenizer. The model's tokenizer.
            max_length: int, default 128. Maximum number of tokens in a row.
            like: TaskData or None, default None. Data whose columns, labels and maximum length are reused: pass the
                training data when you read the held-out data.
            on_bad_row: str, default "fail". `"fail"` raises at a bad row, `"skip"` skips and counts it.
        """
        found = get_task(task)
        spec = (
            like.spec
            if like
            else Spec(task, (), max_length, options={**vars(found.Options()), **vars(found.PredictionOptions())})
        )
        return cls(found, *found.read(source, spec, on_bad_row), tokenizer)

    def __len__(self) -> int:
        """Number of training examples: rows, or windows if the task splits long rows into windows."""
        return len(self.num_tokens) if self.task.is_windowed(self.spec) else len(self.examples)

    def training_batches(
        self,
        batch_size: int = 32,
        seed: int = 0,
        first_step: int = 0,
        worker: int = 0,
        num_workers: int = 1,
        batch_tokens: int | None = None,
    ) -> tf.data.Dataset:
        """An infinite stream of batches for `fit`, with every example once per epoch in an order drawn from `seed`.

        Examples of similar length share a batch (`bucketed_batches`), and a worker pads its part of the batch only to
        its own longest example. A stream with `first_step` yields the same batches as a stream from the start yields
        from that step on. The last batch of an epoch is completed with examples of the next epoch, so that all batches
        have the same number of rows. With `batch_tokens` all batches have about the same number of tokens instead, and
        no batch mixes two epochs.

        Args:
            batch_size: int, default 32. Rows of the global batch; with `batch_tokens`, the number of rows is a
                multiple of it.
            seed: int, default 0. Seed of the order.
            first_step: int, default 0. How many batches to skip at the start; skipping any number costs the same.
            worker: int, default 0. Index of this worker.
            num_workers: int, default 1. Number of workers that share each batch.
            batch_tokens: int or None, default None. Maximum number of positions in a batch, for batches with equally
                many tokens instead of rows (`TokenBudget`).

        Yields: inputs, labels and, if the task has them, sample weights.

        Raises:
            UserError: `batch_size` is not a multiple of `num_workers`.
        """
        if batch_size < 1 or batch_size % num_workers:
            raise UserError(f"`batch_size`: must be a multiple of the {num_workers} workers, not {batch_size}")
        rows = None if batch_tokens else batch_size // num_workers

        def drawn() -> Any:
            for batch in self._drawn(batch_size, batch_tokens, seed, first_step):
                rows = len(batch) // num_workers
                yield self._row_and_window(batch[worker * rows : (worker + 1) * rows])

        numbers = tf.data.Dataset.from_generator(drawn, output_signature=(tf.TensorSpec([rows], tf.int64),) * 2)
        return self._batches(numbers, training=True)

    def evaluation_batches(self, batch_size: int = 32) -> tf.data.Dataset:
        """Batches with every example once, for `evaluate` and `validation_data`, sorted from short to long."""
        batches = sorted_batches(self.num_tokens, batch_size)
        numbers = tf.data.Dataset.from_generator(
            lambda: map(self._row_and_window, batches), output_signature=(tf.TensorSpec([None], tf.int64),) * 2
        )
        return self._batches(numbers, training=False).apply(tf.data.experimental.assert_cardinality(len(batches)))

    def steps_per_epoch(self, batch_size: int = 32) -> int:
        """Training steps in one epoch, rounded up."""
        return math.ceil(len(self) / batch_size)

    def num_batches(self, batch_size: int = 32, batch_tokens: int | None = None) -> float:
        """Training steps in one epoch, not rounded; arguments as for `training_batches`."""
        return len(TokenBudget(self.num_tokens, batch_tokens, batch_size)) if batch_tokens else len(self) / batch_size

    def _drawn(self, batch_size: int, batch_tokens: int | None, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
        """An infinite stream of training batches, each as an array of example numbers."""
        if batch_tokens:
            return TokenBudget(self.num_tokens, batch_tokens, batch_size).batches(seed, first_step)
        return bucketed_batches(self.num_tokens, batch_size, seed, first_step)

    def non_padding_fraction(self, batch_size: int = 32, seed: int = 0, batch_tokens: int | None = None) -> float:
        """The fraction of non-padding positions in the batches of the first epoch, computed for a single worker.

        In a long epoch only the first 200 batches are counted; they are a random sample of all examples.
        """
        batches = self._drawn(batch_size, batch_tokens, seed)
        num_batches = min(math.ceil(self.num_batches(batch_size, batch_tokens)), BATCHES_LOOKED_AT)
        tokens = positions = 0
        for numbers in itertools.islice(batches, num_batches):
            rows, chosen = self._row_and_window(numbers)
            raw, gold = (
                columns and {name: [values[row] for row in rows] for name, values in columns.items()}
                for columns in (self.examples.raw, self._gold_read)
            )
            *_, filled = self._token_counter.of_batch(raw, chosen if self.task.is_windowed(self.spec) else None, gold)
            tokens, positions = tokens + filled[0], positions + filled[1]
        return float(tokens / positions)

    @functools.cached_property
    def notes(self) -> dict[str, Any]:
        """Facts for the run's results: how many bad rows were skipped, by reason, and the task's own counts."""
        skipped = {"skipped_rows": dict(self.examples.skipped)} if self.examples.skipped else {}
        return {**skipped, **self.task.notes(self.spec, self.tokenizer, self.examples)}

    @property
    def num_tokens(self) -> np.ndarray:
        """Number of tokens that the model reads in each row, or in each window."""
        return self._lengths[0]

    @functools.cached_property
    def _lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """The number of tokens in each window, and the number of windows in each row."""
        return self._token_counter(self.examples.raw, self._gold_read)

    @property
    def _gold_read(self) -> Any:
        """The gold columns if the model reads them as input (teacher forcing), else `None`."""
        return self.examples.gold if self.task.teacher_forced else None

    def _row_and_window(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The row of each of these windows, and the window's index within its row."""
        if not self.task.is_windowed(self.spec):
            return numbers, np.zeros_like(numbers)
        ends = np.cumsum(self._lengths[1])
        rows = np.searchsorted(ends, numbers, side="right")
        return rows, numbers - (ends - self._lengths[1])[rows]

    @functools.cached_property
    def _token_counter(self) -> TokenCounter:
        return TokenCounter(self.task, self.spec, self.tokenizer)

    def _batches(self, numbers: tf.data.Dataset, training: bool) -> tf.data.Dataset:
        """Maps batches of example numbers to inputs, labels and weights."""
        raw, gold = as_tensors(self.examples.raw), as_tensors(self.examples.gold)

        @tf.autograph.experimental.do_not_convert  # converting takes longer than tracing
        def batch_of(rows: tf.Tensor, chosen: tf.Tensor) -> tuple[Any, ...]:
            some = {name: tf.gather(values, rows) for name, values in raw.items()}
            right = {name: tf.gather(values, rows) for name, values in gold.items()}
            features = self.task.features(self.spec, self.tokenizer, some, tf.cast(chosen, tf.int32))
            features = self.task.with_teacher_forcing(self.spec, features, right)
            # Gathering ragged rows loses the static number of rows.
            inputs = {name: _of_rows(values, rows.shape[0]) for name, values in features.inputs.items()}
            labels, weights = self.task.targets(self.spec, features, right, training)
            return (inputs, labels) if weights is None else (inputs, labels, weights)

        return without_autotuning(numbers.map(batch_of, num_parallel_calls=2).prefetch(4))


def _of_rows(values: tf.Tensor, rows: int | None) -> tf.Tensor:
    return tf.ensure_shape(values, [rows, *values.shape[1:]])
