"""An endless stream of rows, epoch after epoch, cut into batches; it can begin at any row.

Each epoch permutes the shards. A shard gives its rows in one visit or in several, and each visit permutes its rows. The
rows before the first one that is asked for are counted, not made.
"""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.batch_shares import rows_of_each
from keras_bert_scratch.data.rng import permutation
from keras_bert_scratch.errors import UserError

ROWS_AT_ONCE = 512  # several batches: the cost of numpy and of the way into TensorFlow hardly grows with the rows
PREFETCH = 8

Source = TypeVar("Source")


class Visit(NamedTuple, Generic[Source]):
    """Rows that are taken together.

    Args:
        start: int. The position of the first of them in the endless stream.
        source: the object that they are made from.
        order: int64 `(rows,)`. The rows of the source in the order in which they are taken.
    """

    start: int
    source: Source
    order: np.ndarray

    @property
    def end(self) -> int:
        """The position in the stream behind the last of them."""
        return self.start + len(self.order)


class Shards(NamedTuple, Generic[Source]):
    """What a stream is made of.

    Args:
        name: str. Folder or file, for messages.
        count: int. How many shards there are.
        period: int. After so many epochs the numbers of rows repeat.
        num_rows: function of `(shard, epoch)`. Returns how many rows the shard gives.
        visits: function of `(shard, epoch, start, first_row)`. Yields the visits of a shard whose first row has the
            position `start` in the stream. Visits that end before `first_row` may be left out.
    """

    name: str
    count: int
    period: int
    num_rows: Callable[[int, int], int]
    visits: Callable[[int, int, int, int], Iterator[Visit[Source]]]


def visits_from(first_row: int, shards: Shards[Source], seed: int) -> Iterator[Visit[Source]]:
    """Visit after visit without end, from the one that contains position `first_row` of the stream.

    Raises:
        UserError: a whole epoch gives no row.

    Example:
        >>> def visits(shard, epoch, start, first_row):
        ...     yield Visit(start, shard, permutation(3, epoch, shard))
        >>> shards = Shards("records", 2, 1, lambda shard, epoch: 3, visits)
        >>> next(visits_from(13, shards, seed=0)).start
        12
    """
    first_epoch, start = _epoch_of(first_row, shards)
    for epoch in itertools.count(first_epoch):
        rows_before = start
        for shard in permutation(shards.count, "shards", seed, epoch).tolist():
            if start < first_row:
                size = shards.num_rows(shard, epoch)
                if start + size <= first_row:
                    start += size
                    continue
            for visit in shards.visits(shard, epoch, start, first_row):
                yield visit
                start = visit.end
        if start == rows_before:
            raise UserError(f"{shards.name}: gives no example at all; make the records again from more text")


def _epoch_of(row: int, shards: Shards[Any]) -> tuple[int, int]:
    """The epoch that contains position `row`, and the position of that epoch's first row."""
    epoch = start = 0
    while row > 0:
        size = sum(shards.num_rows(shard, epoch) for shard in range(shards.count))
        if size == 0 or start + size > row:
            break
        start += size
        epoch += 1
        if epoch == shards.period:  # from here on the epochs repeat these sizes
            cycles = row // start
            epoch, start = cycles * shards.period, cycles * start
    return epoch, start


def batches_of(
    shards: Shards[Source],
    seed: int,
    make_batch: Callable[[list[tuple[Source, np.ndarray]]], Any],
    batch_size: int,
    first_step: int,
    worker: int,
    num_workers: int,
) -> tf.data.Dataset:
    """The stream as batches; each worker takes a slice of the same size of every batch.

    Args:
        shards: `Shards`. What to read.
        seed: int. Of the order of the shards.
        make_batch: function. Makes a batch from rows of some sources, and from none an empty one, whose dtypes and
            shapes are those of all.
        batch_size: int. Rows per step, of all workers together.
        first_step: int. How many batches to skip.
        worker: int. Which of the workers this is, from 0.
        num_workers: int. How many workers share each batch.

    Raises:
        UserError: the workers cannot share a batch equally.

    Example:
        >>> def visits(shard, epoch, start, first_row):
        ...     yield Visit(start, 10 * epoch, np.arange(3))
        >>> def numbers(taken):
        ...     return np.concatenate([np.zeros(0, np.int64), *(tens + rows for tens, rows in taken)])
        >>> shards = Shards("records", 1, 1, lambda shard, epoch: 3, visits)
        >>> next(iter(batches_of(shards, 0, numbers, 4, 2, 0, 1))).numpy().tolist()
        [22, 30, 31, 32]
    """
    rows_of_worker = rows_of_each(batch_size, num_workers)
    first_row = first_step * batch_size + worker * rows_of_worker
    steps_at_once = max(1, ROWS_AT_ONCE // rows_of_worker)

    def generate() -> Iterator[Any]:
        with concurrent.futures.ThreadPoolExecutor(1) as ahead:
            coming = _one_ahead(visits_from(first_row, shards, seed), ahead)
            visit = next(coming)
            taken = []
            for step, start in enumerate(itertools.count(first_row, batch_size), 1):
                missing = rows_of_worker
                while missing:
                    while start + rows_of_worker - missing >= visit.end:
                        visit = next(coming)
                    at = start + rows_of_worker - missing - visit.start
                    taken.append((visit.source, visit.order[at : at + missing]))
                    missing -= len(taken[-1][1])
                if step % steps_at_once == 0:
                    yield tf.nest.map_structure(
                        lambda array: array.reshape(steps_at_once, rows_of_worker, *array.shape[1:]), make_batch(taken)
                    )
                    taken = []

    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec((steps_at_once, rows_of_worker, *array.shape[1:]), array.dtype), make_batch([])
    )
    return tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(1).unbatch().prefetch(PREFETCH)


def _one_ahead(visits: Iterator[Visit[Source]], ahead: concurrent.futures.Executor) -> Iterator[Visit[Source]]:
    """The same visits; each is made while the one before it is in use."""
    coming = ahead.submit(next, visits)
    while True:
        visit = coming.result()
        coming = ahead.submit(next, visits)
        yield visit
