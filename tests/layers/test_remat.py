"""Blocks that are recomputed in the backward pass: the same numbers, with less memory and more matrix products."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.dropout import dropout_seed_scope

CONFIG = kbs.BertConfig(vocab_size=60, num_layers=2, hidden_size=32, intermediate_size=64)


def a_batch() -> tuple[dict, dict]:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 60, (6, 12)).astype("int32")
    inputs = {
        "token_ids": tokens,
        "segment_ids": 0 * tokens,
        "padding_mask": np.ones_like(tokens),
        "mask_positions": np.tile(np.arange(1, 4, dtype="int32"), (6, 1)),
    }
    return inputs, {"masked_lm": rng.integers(5, 60, (6, 3)), "next_sentence": rng.integers(0, 2, (6,))}


def trained(remat: bool) -> list[np.ndarray]:
    keras.utils.set_random_seed(0)
    model = kbs.BertPretrainer(kbs.BertBackbone(CONFIG, remat=remat))
    model.compile(kbs.BertAdamW(1e-2), accumulate=2)
    inputs, labels = a_batch()
    model.fit(inputs, labels, batch_size=6, epochs=3, verbose=0, shuffle=False)
    return [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]


@pytest.mark.slow
def test_training_with_dropout_comes_out_the_same():
    for kept, again in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(again, kept, rtol=0, atol=2e-5)


def products_in_gradient(remat: bool) -> int:
    model = kbs.BertPretrainer(kbs.BertBackbone(CONFIG, remat=remat))
    inputs, _ = a_batch()

    @tf.function
    def gradient():
        with dropout_seed_scope(3):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(inputs, training=True)["masked_lm"])
            return tape.gradient(loss, [variable.value for variable in model.backbone.trainable_variables])

    graph = gradient.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op in ("MatMul", "BatchMatMulV2") for node in nodes)


def test_the_blocks_products_are_made_a_second_time():
    # Per block: query, key and value (two products if only some positions are read), scores, context, output, and the
    # two of the feed-forward layer.
    assert products_in_gradient(True) == products_in_gradient(False) + 2 * 6 + 1


def test_without_told_draws_nothing_is_made_again():
    """Keras's own step draws new numbers at every call: the recomputation would drop other values."""
    keras.utils.set_random_seed(0)
    model = kbs.BertPretrainer(kbs.BertBackbone(CONFIG, remat=True))
    inputs, _ = a_batch()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(inputs, training=True)["masked_lm"])
    keras.utils.set_random_seed(0)
    plain = kbs.BertPretrainer(kbs.BertBackbone(CONFIG))
    with tf.GradientTape() as plain_tape:
        plain_loss = tf.reduce_sum(plain(inputs, training=True)["masked_lm"])
    weight, plain_weight = (m.backbone.encoder_blocks[0].feed_forward.intermediate.kernel for m in (model, plain))
    np.testing.assert_allclose(
        tape.gradient(loss, weight.value), plain_tape.gradient(plain_loss, plain_weight.value), rtol=1e-5, atol=1e-5
    )
