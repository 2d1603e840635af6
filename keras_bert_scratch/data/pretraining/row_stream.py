"""An endless stream of rows, epoch after epoch, cut into batches; it can begin at any row.

Each epoch permutes the shards. A shard yields its rows in one or several ranges, and each range permutes its rows. The
rows before the requested first row are counted, not computed.
"""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from keras_bert_scratch.data.autotuning import without_autotuning
from keras_bert_scratch.data.batch_shares import local_batch_size
from keras_bert_scratch.data.rng import permutation
from keras_bert_scratch.errors import UserError

ROWS_AT_ONCE = 512  # several batches: the overhead of numpy and of the way into TensorFlow hardly grows with the rows
PREFETCH = 8

Source = TypeVar("Source")


class RowRange(NamedTuple, Generic[Source]):
    """Rows that are read together.

    Args:
        start: int. The position of the first row in the endless stream.
        source: the object that they are made from.
        order: int64 `(rows,)`. The rows of the source in the order in which they are read.
    """

    start: int
    source: Source
    order: np.ndarray

    @property
    def end(self) -> int:
        """The position in the stream after the last row."""
        return self.start + len(self.order)


class Shards(NamedTuple, Generic[Source]):
    """The shards that a stream reads.

    Args:
        name: str. Folder or file, for messages.
        count: int. How many shards there are.
        period: int. The number of epochs after which the numbers of rows repeat.
        num_rows: function of `(shard, epoch)`. Returns how many rows the shard has.
        row_ranges: function of `(shard, epoch, start, first_row)`. Yields the ranges of a shard whose first row has the
            position `start` in the stream. Ranges that end before `first_row` may be left out.
    """

    name: str
    count: int
    period: int
    num_rows: Callable[[int, int], int]
    row_ranges: Callable[[int, int, int, int], Iterator[RowRange[Source]]]


def row_ranges_from(first_row: int, shards: Shards[Source], seed: int) -> Iterator[RowRange[Source]]:
    """Endless row ranges, from the one that contains position `first_row` of the stream on.

    Raises:
        UserError: a whole epoch yields no row.

    Example:
        >>> def row_ranges(shard, epoch, start, first_row):
        ...     yield RowRange(start, shard, permutation(3, epoch, shard))
        >>> shards = Shards("records", 2, 1, lambda shard, epoch: 3, row_ranges)
        >>> next(row_ranges_from(13, shards, seed=0)).start
        12
    """
    first_epoch, start = _epoch_of(first_row, shards, seed)
    for epoch in itertools.count(first_epoch):
        rows_before = start
        for shard in permutation(shards.count, "shards", seed, epoch).tolist():
            if start < first_row:
                size = shards.num_rows(shard, epoch)
                if start + size <= first_row:
                    start += size
                    continue
            for row_range in shards.row_ranges(shard, epoch, start, first_row):
                yield row_range
                start = row_range.end
        if start == rows_before:
            raise UserError(f"{shards.name}: yields no examples; rebuild the records from more text")


def _epoch_of(row: int, shards: Shards[Any], seed: int) -> tuple[int, int]:
    """The epoch that contains position `row`, and the position of that epoch's first row.

    The shards are counted in the order in which they are read, up to `row`: a resumed run need not count what it has
    not read yet.
    """
    epoch = start = 0
    while row > start:
        end = start
        for shard in permutation(shards.count, "shards", seed, epoch).tolist():
            end += shards.num_rows(shard, epoch)
            if end > row:
                return epoch, start
        if end == start:
            break
        epoch, start = epoch + 1, end
        if epoch == shards.period:  # from here on the epochs repeat these sizes
            cycles = row // start
            epoch, start = cycles * shards.period, cycles * start
    return epoch, start


def first_row_of(batch_size: int, first_step: int, worker: int, num_workers: int) -> int:
    """The position in the stream of the first row of a worker's slice of the batch of `first_step`.

    Raises:
        UserError: the workers cannot share a batch equally.
    """
    return first_step * batch_size + worker * local_batch_size(batch_size, num_workers)


def slices_of(
    row_ranges: Iterator[RowRange[Source]], first_row: int, batch_size: int, rows: int
) -> Iterator[list[tuple[Source, np.ndarray]]]:
    """Step after step, the rows that a worker reads: `rows` of each batch, in the first step from `first_row` on.

    Args:
        row_ranges: from `row_ranges_from(first_row, ...)`.
        first_row: int. Position in the stream.
        batch_size: int. Rows from the beginning of one slice to the beginning of the next.
        rows: int. Rows per slice.

    Example:
        >>> row_ranges = iter([RowRange(0, "a", np.arange(3)), RowRange(3, "b", np.arange(9))])
        >>> next(slices_of(row_ranges, 2, 4, 2))
        [('a', array([2])), ('b', array([0]))]
    """
    row_range = next(row_ranges)
    for start in itertools.count(first_row, batch_size):
        taken = []
        at = start
        while at < start + rows:
            while at >= row_range.end:
                row_range = next(row_ranges)
            taken.append((row_range.source, row_range.order[at - row_range.start : start + rows - row_range.start]))
            at += len(taken[-1][1])
        yield taken


def batches_of(
    shards: Shards[Source],
    seed: int,
    make_batch: Callable[[list[tuple[Source, np.ndarray]]], Any],
    batch_size: int,
    first_step: int,
    worker: int,
    num_workers: int,
) -> tf.data.Dataset:
    """The stream as batches; each worker reads an equal slice of every batch.

    Args:
        shards: `Shards`. What to read.
        seed: int. Seed of the order of the shards.
        make_batch: function. Makes a batch from rows of some sources. From an empty list it makes an empty batch, whose
            dtypes and shapes are those of all batches.
        batch_size: int. Rows of the global batch, for all workers together.
        first_step: int. How many batches to skip.
        worker: int. Index of this worker, from 0.
        num_workers: int. How many workers share each batch.

    Raises:
        UserError: the workers cannot share a batch equally.

    Example:
        >>> def row_ranges(shard, epoch, start, first_row):
        ...     yield RowRange(start, 10 * epoch, np.arange(3))
        >>> def numbers(taken):
        ...     return np.concatenate([np.zeros(0, np.int64), *(tens + rows for tens, rows in taken)])
        >>> shards = Shards("records", 1, 1, lambda shard, epoch: 3, row_ranges)
        >>> next(iter(batches_of(shards, 0, numbers, 4, 2, 0, 1))).numpy().tolist()
        [22, 30, 31, 32]
    """
    rows = local_batch_size(batch_size, num_workers)
    first_row = first_row_of(batch_size, first_step, worker, num_workers)
    steps_at_once = max(1, ROWS_AT_ONCE // rows)

    def generate() -> Iterator[Any]:
        with concurrent.futures.ThreadPoolExecutor(1) as ahead:
            slices = slices_of(_one_ahead(row_ranges_from(first_row, shards, seed), ahead), first_row, batch_size, rows)
            while True:
                taken = list(itertools.chain.from_iterable(itertools.islice(slices, steps_at_once)))
                yield tf.nest.map_structure(
                    lambda array: array.reshape(steps_at_once, rows, *array.shape[1:]), make_batch(taken)
                )

    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec((steps_at_once, rows, *array.shape[1:]), array.dtype), make_batch([])
    )
    blocks = tf.data.Dataset.from_generator(generate, output_signature=signature).prefetch(1)
    return without_autotuning(blocks.unbatch().prefetch(PREFETCH))


def _one_ahead(
    row_ranges: Iterator[RowRange[Source]], ahead: concurrent.futures.Executor
) -> Iterator[RowRange[Source]]:
    """The same ranges; each is prepared while the one before it is in use."""
    coming = ahead.submit(next, row_ranges)
    while True:
        row_range = coming.result()
        coming = ahead.submit(next, row_ranges)
        yield row_range
