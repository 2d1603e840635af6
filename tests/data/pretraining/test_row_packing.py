import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_bert_scratch.data.pretraining.packing import pack_rows


@given(
    lengths=st.lists(st.integers(1, 64), max_size=200),
    max_examples=st.integers(1, 8),
)
def test_every_example_is_in_one_row_that_holds_it(lengths, max_examples):
    lengths = np.array(lengths, np.int64)
    order, row_splits = pack_rows(lengths, 64, max_examples)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert row_splits[0] == 0
    assert row_splits[-1] == len(lengths)
    for start, end in itertools.pairwise(row_splits):
        assert 1 <= end - start <= max_examples
        assert lengths[order[start:end]].sum() <= 64


@pytest.mark.parametrize(
    ("lengths", "rows"),
    [
        ([10] * 5, 5),
        ([5] * 6, 3),
        ([9, 1, 8, 2, 7, 3, 6, 4], 4),
        ([4, 4, 4, 3, 3, 3, 3, 6], 4),  # three would do, best fit does not see it
        ([2] * 30, 8),  # four examples a row at most
    ],
)
def test_few_rows_are_needed(lengths, rows):
    assert len(pack_rows(np.array(lengths), 10, 4)[1]) - 1 == rows


def test_little_is_left_empty():
    """No packing can do better than all tokens over the length; this one is within 2% on the lengths of real pairs."""
    rng = np.random.default_rng(0)
    lengths = np.concatenate([np.full(800, 128), rng.integers(5, 128, 200)])
    rows = len(pack_rows(lengths, 128, 8)[1]) - 1
    assert rows <= 1.02 * lengths.sum() / 128
