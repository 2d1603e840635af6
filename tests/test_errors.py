"""`UserError`, wherever it is raised."""

import pickle

import pytest
import tensorflow as tf

from keras_bert_scratch.errors import UserError


def refuse(number):
    if number.dtype != tf.float32:
        raise UserError(f"`dtype`: must be float32, not {number.dtype.name}")
    return number


def test_it_is_a_value_error_and_passes_between_processes():
    with pytest.raises(ValueError, match=r"^vocab\.txt: lacks"):
        raise UserError("vocab.txt: lacks [MASK]")
    assert str(pickle.loads(pickle.dumps(UserError("vocab.txt: lacks [MASK]")))) == "vocab.txt: lacks [MASK]"


@pytest.mark.parametrize(
    "trace",
    [lambda: tf.function(refuse)(tf.constant(1, tf.int64)), lambda: tf.data.Dataset.range(1).map(refuse)],
    ids=["function", "dataset"],
)
def test_it_leaves_a_graph_as_what_it_is(trace):
    with pytest.raises(UserError, match="`dtype`: must be float32, not int64"):
        trace()
