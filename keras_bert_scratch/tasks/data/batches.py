"""Batches for fine-tuning: examples of similar length together, as a function of seed and step."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

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
    """Examples of a task, and the batches that a model trains and is measured on.

    Args:
        task: Task. Its `features` and `targets` make the batches.
        spec: Spec. With columns and labels.
        examples: Examples. What `task.read` gave.
        tokenizer: BertTokenizer. Of the model.

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
            task: str. A task's name, such as `"classification"`.
            source: path of a table, or a mapping of columns in memory.
            tokenizer: BertTokenizer. Of the model.
            max_length: int, default 128. Tokens of a row at most.
            like: TaskData or None, default None. Data whose columns, labels and length these must have, such as the
                training data for the held-out ones.
            on_bad_row: str, default "fail". `"fail"`, or `"skip"` and count.
        """
        found = get_task(task)
        spec = (
            like.spec if like else Spec(task, (), max_length, options={**vars(found.Options()), **vars(found.Asking())})
        )
        return cls(found, *found.read(source, spec, on_bad_row), tokenizer)

    def __len__(self) -> int:
        """How many there are to learn from: rows, or where a long row is read in several windows, windows."""
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
        """Batches for `fit` without end, every example once per epoch in an order drawn from `seed`.

        Examples of similar length share a batch (`bucketed_batches`), and a worker's part of it is only as long as
        its longest example needs. From `first_step` on it gives what a stream from the start gives there. The last
        batch of an epoch is filled up from the next one, so that all have the same number of rows. With `batch_tokens`
        they have about as many tokens instead, and an epoch has whole batches.

        Args:
            batch_size: int, default 32. Rows of all workers together; with `batch_tokens` a divisor of them.
            seed: int, default 0. Of the order.
            first_step: int, default 0. How many batches to leave out at the start; costs the same for any number.
            worker: int, default 0. Which of the workers this is.
            num_workers: int, default 1. How many share each batch.
            batch_tokens: int or None, default None. Positions of a batch at most, where batches are to have as many
                tokens, not rows (`TokenBudget`).

        Yields: inputs, labels and, where the task has them, sample weights.
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
        """Batches of every example once, for `evaluate` and `validation_data`, the shortest first."""
        batches = sorted_batches(self.num_tokens, batch_size)
        numbers = tf.data.Dataset.from_generator(
            lambda: map(self._row_and_window, batches), output_signature=(tf.TensorSpec([None], tf.int64),) * 2
        )
        return self._batches(numbers, training=False).apply(tf.data.experimental.assert_cardinality(len(batches)))

    def steps_per_epoch(self, batch_size: int = 32) -> int:
        """Training steps in which every example is seen once."""
        return math.ceil(len(self) / batch_size)

    def num_batches(self, batch_size: int = 32, batch_tokens: int | None = None) -> float:
        """Training steps of an epoch, with the part of the last one; arguments as for `training_batches`."""
        return len(TokenBudget(self.num_tokens, batch_tokens, batch_size)) if batch_tokens else len(self) / batch_size

    def _drawn(self, batch_size: int, batch_tokens: int | None, seed: int, first_step: int = 0) -> Iterator[np.ndarray]:
        """The numbers of each batch of training, without end."""
        if batch_tokens:
            return TokenBudget(self.num_tokens, batch_tokens, batch_size).batches(seed, first_step)
        return bucketed_batches(self.num_tokens, batch_size, seed, first_step)

    def non_padding_fraction(self, batch_size: int = 32, seed: int = 0, batch_tokens: int | None = None) -> float:
        """The fraction of positions that hold tokens, not padding, in one worker's batches of the first epoch.

        Of a long epoch the first 200 batches are looked at, which are drawn from all examples.
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
        """What a run tells about them: how many bad rows were left out, by reason, and what the task counts."""
        skipped = {"skipped_rows": dict(self.examples.skipped)} if self.examples.skipped else {}
        return {**skipped, **self.task.notes(self.spec, self.tokenizer, self.examples)}

    @property
    def num_tokens(self) -> np.ndarray:
        """How many tokens each row, or each window, has as the model reads it."""
        return self._lengths[0]

    @functools.cached_property
    def _lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of each window, and the windows of each row."""
        return self._token_counter(self.examples.raw, self._gold_read)

    @property
    def _gold_read(self) -> Any:
        """What is right, where the model reads that, too."""
        return self.examples.gold if self.task.teacher_forced else None

    def _row_and_window(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The row that each of these windows is of, and its number in there."""
        if not self.task.is_windowed(self.spec):
            return numbers, np.zeros_like(numbers)
        ends = np.cumsum(self._lengths[1])
        rows = np.searchsorted(ends, numbers, side="right")
        return rows, numbers - (ends - self._lengths[1])[rows]

    @functools.cached_property
    def _token_counter(self) -> TokenCounter:
        return TokenCounter(self.task, self.spec, self.tokenizer)

    def _batches(self, numbers: tf.data.Dataset, training: bool) -> tf.data.Dataset:
        """Batches of examples' numbers as inputs, labels and weights."""
        raw, gold = as_tensors(self.examples.raw), as_tensors(self.examples.gold)

        @tf.autograph.experimental.do_not_convert  # converting takes longer than tracing
        def batch_of(rows: tf.Tensor, chosen: tf.Tensor) -> tuple[Any, ...]:
            some = {name: tf.gather(values, rows) for name, values in raw.items()}
            right = {name: tf.gather(values, rows) for name, values in gold.items()}
            features = self.task.features(self.spec, self.tokenizer, some, tf.cast(chosen, tf.int32))
            features = self.task.teach(self.spec, features, right)
            # Gathering ragged rows forgets how many they are.
            inputs = {name: _of_rows(values, rows.shape[0]) for name, values in features.inputs.items()}
            labels, weights = self.task.targets(self.spec, features, right, training)
            return (inputs, labels) if weights is None else (inputs, labels, weights)

        return numbers.map(batch_of, num_parallel_calls=2).prefetch(4)


def _of_rows(values: tf.Tensor, rows: int | None) -> tf.Tensor:
    return tf.ensure_shape(values, [rows, *values.shape[1:]])
