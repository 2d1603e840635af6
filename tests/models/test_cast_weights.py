"""Weights that are cast once give the same logits as weights that are cast at every step."""

import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.models.cast_weights import CastWeights


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_loop_computes_the_same_and_casts_no_matrix(small, dtype):
    backbone = kbs.BertBackbone(small.replace(direction="left-to-right"), pooler=False, dtype=dtype)
    model = kbs.BertCausalLM(backbone)

    def step(tokens):
        return model.step(tokens, 0, model.empty_past(6))[0]

    def cast_matrices() -> int:
        graph = tf.function(lambda tokens: step(tokens), autograph=False).get_concrete_function(tokens).graph
        casts = [operation.inputs[0] for operation in graph.get_operations() if operation.type == "Cast"]
        return sum(cast.op.type == "ReadVariableOp" and cast.shape.rank > 1 for cast in casts)

    tokens = tf.constant([5, 6, 7, 8, 9, 10])
    expected = step(tokens)
    with CastWeights(model):
        np.testing.assert_array_equal(step(tokens), expected)
        assert cast_matrices() == 0
    assert (cast_matrices() > 0) == (dtype != "float32")
    np.testing.assert_array_equal(step(tokens), expected)
