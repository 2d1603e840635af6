"""Reading only some positions: the same vectors and gradients as computing all and selecting these."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.attention_bias import attention_bias, packed_attention_bias
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.positions import QueryPositions, gather_positions

CONFIG = kbs.BertConfig(vocab_size=20, num_layers=1, hidden_size=12, num_heads=3, max_position_embeddings=9)
X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
PADDING_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")
EXAMPLE_IDS = np.array([[1, 1, 1, 2, 2], [1, 2, 2, 0, 0]], "int32")
BIASES = {
    "rows": attention_bias(PADDING_MASK),
    "packed rows": packed_attention_bias(EXAMPLE_IDS, PADDING_MASK),
}
POSITIONS = {"some": [[0, 3, 1], [0, 1, 2]], "one twice": [[4, 4], [0, 0]], "one": [[2], [1]], "none": [[], []]}


@pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
def test_gather_positions(positions):
    positions = np.array(positions, "int32")
    expected = np.take_along_axis(X, positions[:, :, None], axis=1)
    np.testing.assert_array_equal(gather_positions(ops.array(X), ops.array(positions)), expected)


@pytest.mark.parametrize("starts", [None, [[0, 3], [0, 0]]], ids=["no starts", "starts"])
def test_query_positions_finds_each_again(starts):
    masked = np.array([[4, 1, 0], [2, 2, 0]], "int32")
    starts = None if starts is None else np.array(starts, "int32")
    layer = QueryPositions()
    at, where_masked, where_started = (np.asarray(value) for value in layer(masked, starts))
    np.testing.assert_array_equal(np.take_along_axis(at, where_masked, axis=1), masked)
    np.testing.assert_array_equal(
        np.take_along_axis(at, where_started, axis=1), masked[:, :0] if starts is None else starts
    )
    symbolic = [None if value is None else keras.KerasTensor(value.shape, "int32") for value in (masked, starts)]
    shapes = [tuple(value.shape) for value in layer.compute_output_spec(*symbolic)]
    assert shapes == [at.shape, where_masked.shape, where_started.shape]


@pytest.mark.parametrize("bias", BIASES.values(), ids=BIASES)
@pytest.mark.parametrize("positions", POSITIONS.values(), ids=POSITIONS)
def test_a_block_read_at_positions_is_the_whole_one_there(bias, positions):
    """Outputs, and the gradients of the input and of every weight."""
    block, positions = EncoderBlock(CONFIG, name="block"), tf.constant(positions, tf.int32)
    block.build(X.shape, None)
    rng = np.random.default_rng(7)
    for variable in block.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)
    towards = rng.normal(size=(*positions.shape, CONFIG.hidden_size)).astype("float32")
    found = []
    for read in (lambda x: gather_positions(block(x, bias), positions), lambda x: block(x, bias, positions)):
        with tf.GradientTape() as tape:
            x = tf.constant(X)
            tape.watch(x)
            output = read(x)
            loss = tf.reduce_sum(output * towards)
        values = [variable.value for variable in block.trainable_variables]
        gradients = tape.gradient(loss, [x, *values], unconnected_gradients="zero")
        found.append([output, *(tf.convert_to_tensor(gradient) for gradient in gradients)])
    for whole, part in zip(*found, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-4)
