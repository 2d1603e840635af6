"""The labels of a causal objective, by hand and against a loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_bert_scratch.data.pretraining.next_tokens import next_tokens


@pytest.mark.parametrize(
    ("token_ids", "example_ids", "labels", "weights"),
    [
        pytest.param([2, 5, 6, 3], [1, 1, 1, 1], [5, 6, 3, 0], [1, 1, 1, 0], id="a full row"),
        pytest.param([2, 5, 3, 0], [1, 1, 1, 0], [5, 3, 0, 0], [1, 1, 0, 0], id="padding"),
        pytest.param([2, 5, 2, 6], [1, 1, 2, 2], [5, 0, 6, 0], [1, 0, 1, 0], id="two examples"),
        pytest.param([2, 2, 2, 0], [1, 2, 3, 0], [0, 0, 0, 0], [0, 0, 0, 0], id="examples of one token"),
        pytest.param([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], id="padding alone"),
        pytest.param([2], [1], [0], [0], id="one position"),
    ],
)
def test_each_token_predicts_the_one_that_follows(token_ids, example_ids, labels, weights):
    found, counts = next_tokens(np.array([token_ids], np.int32), np.array([example_ids], np.int32))
    assert (found.dtype, counts.dtype) == (np.int32, np.float32)
    assert found.tolist() == [labels]
    assert counts.tolist() == [weights]


@given(st.lists(st.lists(st.integers(1, 5), max_size=4), min_size=1, max_size=4))
def test_packed_examples_have_the_labels_that_each_has_alone(rows):
    """Rows of examples of given sizes, padded to 24."""
    token_ids, example_ids = np.zeros((2, len(rows), 24), np.int32)
    expected = np.zeros((len(rows), 24))
    for row, sizes in enumerate(rows):
        start = 0
        for number, size in enumerate(sizes, 1):
            tokens = 100 * number + np.arange(size)
            token_ids[row, start : start + size], example_ids[row, start : start + size] = tokens, number
            expected[row, start : start + size - 1] = tokens[1:]
            start += size
    labels, weights = next_tokens(token_ids, example_ids)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(weights, expected > 0)
    # From right to left it is the same of the rows turned around.
    labels, weights = next_tokens(token_ids[:, ::-1], example_ids[:, ::-1], "right-to-left")
    np.testing.assert_array_equal(labels[:, ::-1], expected)
    np.testing.assert_array_equal(weights[:, ::-1], expected > 0)
