import itertools

import numpy as np
import pytest
from fast_and_slow import slow_but

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining import row_stream
from keras_bert_scratch.data.pretraining.row_stream import RowRange, Shards, batches_of, row_ranges_from
from keras_bert_scratch.data.rng import permutation

SIZES = ((3, 0, 4), (2, 1, 5))  # of the shards, in even and in odd epochs; they are given two rows at a time


def row_ranges(shard, epoch, start, first_row):
    rows = np.arange(SIZES[epoch % 2][shard])
    for at in range(0, len(rows), 2):
        yield RowRange(start + at, 100 * epoch + 10 * shard, rows[at : at + 2])


SHARDS = Shards("records", 3, 2, lambda shard, epoch: SIZES[epoch % 2][shard], row_ranges)


def numbers(taken):
    return np.concatenate([np.zeros(0, np.int64), *(source + rows for source, rows in taken)])


def by_hand(num_epochs):
    """Every row of some epochs as a number: epoch, shard, row."""
    return [
        100 * epoch + 10 * shard + row
        for epoch in range(num_epochs)
        for shard in permutation(3, "shards", 5, epoch)
        for row in range(SIZES[epoch % 2][shard])
    ]


@pytest.mark.parametrize("first_row", [0, 1, 3, 6, 7, 8, 14, 15, 16, 40, 149])
def test_the_stream_from_any_row_is_the_rest_of_the_whole_stream(first_row):
    expected = by_hand(40)
    found = list(itertools.islice(row_ranges_from(first_row, SHARDS, seed=5), 30))
    first_shard = [row_range for row_range in found if row_range.source == found[0].source]
    assert first_shard[0].start <= first_row < first_shard[-1].end  # none before it was made
    for row_range in found:
        assert numbers([(row_range.source, row_range.order)]).tolist() == expected[row_range.start : row_range.end]
    assert [row_range.start for row_range in found[1:]] == [row_range.end for row_range in found[:-1]]


@pytest.mark.parametrize("first_row", range(12))
def test_what_was_not_read_before_is_not_counted(first_row):
    """A run that is resumed early in a large corpus must not plan all of it first."""
    counted = set()

    def num_rows(shard, epoch):
        counted.add((epoch, shard))
        return SIZES[epoch % 2][shard]

    next(row_ranges_from(first_row, SHARDS._replace(num_rows=num_rows), seed=5))
    read = [number // 10 for number in by_hand(3)[: first_row + 1]]
    empty = {(0, 1)}  # which gives no row
    assert counted - empty <= {(number // 10, number % 10) for number in read}


@pytest.mark.parametrize("rows_at_once", slow_but([6], [1, 6, 512]))
@pytest.mark.parametrize(("first_step", "num_workers"), [(0, 1), (0, 4), (1, 2), (2, 4), (9, 1), (9, 2)])
def test_workers_take_equal_slices_of_every_batch(first_step, num_workers, rows_at_once, monkeypatch):
    monkeypatch.setattr(row_stream, "ROWS_AT_ONCE", rows_at_once)
    streams = [
        batches_of(SHARDS, 5, numbers, 4, first_step, worker, num_workers).take(12).as_numpy_iterator()
        for worker in range(num_workers)
    ]
    batches = np.array([np.concatenate(slices) for slices in zip(*streams, strict=True)])
    np.testing.assert_array_equal(batches.ravel(), by_hand(12)[4 * first_step :][:48])


@pytest.mark.parametrize(("batch_size", "num_workers"), [(0, 1), (6, 4)])
def test_a_batch_that_cannot_be_shared_is_refused(batch_size, num_workers):
    with pytest.raises(kbs.UserError, match="`batch_size`"):
        batches_of(SHARDS, 5, numbers, batch_size, 0, 0, num_workers)


@pytest.mark.parametrize("first_row", [0, 7])
def test_an_epoch_without_rows_is_an_error_and_no_endless_loop(first_row):
    empty = Shards("records", 2, 3, lambda shard, epoch: 0, lambda *_: iter(()))
    with pytest.raises(kbs.UserError, match="records: yields no example"):
        next(row_ranges_from(first_row, empty, seed=0))
