"""Every layer against its formula from the paper, written in numpy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import keras_bert_scratch as kbs
from keras_bert_scratch.layers.attention import Attention
from keras_bert_scratch.layers.attention_bias import attention_bias, packed_attention_bias
from keras_bert_scratch.layers.dense import ACTIVATIONS, Dense
from keras_bert_scratch.layers.dropout import Dropout
from keras_bert_scratch.layers.embeddings import BertEmbeddings, packed_position_ids, small_table_lookup
from keras_bert_scratch.layers.encoder_block import EncoderBlock
from keras_bert_scratch.layers.layer_norm import LayerNorm
from keras_bert_scratch.layers.masked_lm_head import MaskedLMHead
from keras_bert_scratch.layers.next_sentence_head import NextSentenceHead
from keras_bert_scratch.layers.pooler import Pooler

CONFIG = kbs.BertConfig(vocab_size=20, num_layers=1, hidden_size=12, num_heads=3, max_position_embeddings=9)
X = np.random.default_rng(0).normal(size=(2, 5, 12)).astype("float32")
PADDING_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], "int32")
# Two examples in each row.
EXAMPLE_IDS = np.array([[1, 1, 1, 2, 2], [1, 2, 2, 0, 0]], "int32")
EXAMPLE_STARTS = np.array([[0, 3, 0], [0, 1, 0]], "int32")


def weights(layer: keras.layers.Layer) -> dict[str, np.ndarray]:
    """The layer's weights by path, set to random values so that biases and LayerNorms are not just 0 and 1."""
    rng = np.random.default_rng(7)
    for variable in layer.weights:
        if variable.dtype == "float32":
            variable.assign(rng.normal(size=variable.shape) * 0.5)
    return {variable.path.split("/", 1)[1]: np.array(variable, "float64") for variable in layer.weights}


def gelu(x):
    return np.vectorize(lambda value: 0.5 * value * (1 + math.erf(value / math.sqrt(2))))(x)


def linear(x, w, name):
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def norm(x, w, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * w[f"{name}/gamma"] + w[f"{name}/beta"]


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(x, padding_mask, w, prefix, heads):
    """softmax(Q K^T / sqrt(d)) V head by head; padding is left out of the sum."""
    size = x.shape[-1] // heads
    q, k, v = (linear(x, w, f"{prefix}{name}") for name in ("query", "key", "value"))
    rows = []
    for row, mask in enumerate(padding_mask.astype(bool)):
        parts = [slice(head * size, (head + 1) * size) for head in range(heads)]
        attended = [
            softmax(q[row][:, part] @ k[row][mask][:, part].T / np.sqrt(size)) @ v[row][mask][:, part] for part in parts
        ]
        rows.append(np.concatenate(attended, axis=-1))
    return linear(np.stack(rows), w, f"{prefix}output")


def close(ours, formula):
    np.testing.assert_allclose(np.asarray(ours), formula, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh"])
def test_gelus(name):
    x = np.linspace(-6, 6, 101, dtype="float32")
    tanh_form = 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    close(ACTIVATIONS[name](ops.array(x)), gelu(x) if name == "gelu" else tanh_form)


def test_dense():
    layer = Dense(4, "tanh", name="dense")
    layer.build(X.shape)
    w = weights(layer)
    close(layer(X), np.tanh(X @ w["kernel"] + w["bias"]))


def test_layer_norm():
    layer = LayerNorm(name="norm")
    layer.build(X.shape)
    w = weights(layer)
    close(layer(X), norm(X, {f"n/{name}": value for name, value in w.items()}, "n"))


def test_layer_norm_epsilon_reaches_the_root():
    flat = np.full((1, 4), 3.0, "float32")
    assert np.all(np.asarray(LayerNorm(1e-12)(flat)) == 0)
    small = np.array([[1e-6, -1e-6]], "float32")
    np.testing.assert_allclose(np.asarray(LayerNorm(1e-12)(small))[0, 0], 1e-6 / np.sqrt(2e-12), rtol=1e-3)


def test_dropout():
    layer = Dropout(0.25)
    ones = np.ones((200, 500), "float32")
    dropped = np.asarray(layer(ones, training=True))
    # 100,000 draws: the fraction of zeros misses 0.25 by 5 standard deviations only once in a million times.
    assert abs((dropped == 0).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / ones.size)
    np.testing.assert_allclose(dropped[dropped != 0], 1 / 0.75, rtol=1e-6)
    assert not np.array_equal(dropped, np.asarray(layer(ones, training=True)))
    np.testing.assert_array_equal(np.asarray(layer(ones, training=False)), ones)


def test_embeddings():
    layer = BertEmbeddings(CONFIG, name="embeddings")
    token_ids, segment_ids = np.array([[3, 7, 7, 19]]), np.array([[0, 0, 1, 1]])
    layer.build(token_ids.shape, segment_ids.shape)
    w = weights(layer)
    summed = w["token_embedding"][token_ids] + w["segment_embedding"][segment_ids] + w["position_embedding"][:4]
    close(layer(token_ids, segment_ids)[0], norm(summed, w, "layer_norm"))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_gradient_of_a_segment_is_the_sum_over_its_tokens(dtype):
    rng = np.random.default_rng(0)
    ids, upstream = rng.integers(0, 3, (5, 70)), rng.normal(size=(5, 70, 4)).astype("float32")
    table = tf.Variable(tf.cast(rng.normal(size=(3, 4)), dtype))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(small_table_lookup(table, tf.constant(ids)) * tf.cast(upstream, dtype))
    rounded = tf.cast(tf.cast(upstream, dtype), "float32").numpy()
    expected = [rounded[ids == row].sum(0) for row in range(3)]
    tolerance = 2.0 ** {"float32": -20, "bfloat16": -8}[dtype]  # one rounding, in bfloat16
    np.testing.assert_allclose(tf.cast(tape.gradient(loss, table), "float32"), expected, rtol=tolerance, atol=1e-5)


def test_embeddings_of_packed_rows():
    layer = BertEmbeddings(CONFIG, name="embeddings")
    token_ids, segment_ids = np.array([[3, 7, 7, 19, 4], [5, 6, 3, 0, 0]]), np.zeros((2, 5), "int32")
    layer.build(token_ids.shape, segment_ids.shape)
    w = weights(layer)
    positions = np.array([[0, 1, 2, 0, 1], [0, 0, 1, 3, 4]])
    np.testing.assert_array_equal(packed_position_ids(EXAMPLE_IDS, EXAMPLE_STARTS), positions)
    summed = w["token_embedding"][token_ids] + w["segment_embedding"][segment_ids] + w["position_embedding"][positions]
    close(layer(token_ids, segment_ids, EXAMPLE_IDS, EXAMPLE_STARTS)[0], norm(summed, w, "layer_norm"))


def test_attention():
    layer = Attention(CONFIG, name="attention")
    layer.build(X.shape, None)
    w = weights(layer)
    output, weights_of_positions = layer(X, attention_bias(PADDING_MASK), return_weights=True)
    close(output, attention(X, PADDING_MASK, w, "", CONFIG.num_heads))
    close(np.asarray(weights_of_positions).sum(-1), 1.0)
    assert np.all(np.asarray(weights_of_positions)[1, :, :, 3:] == 0)


def test_attention_of_packed_rows():
    """Every example has the same output as in a row of its own."""
    layer = Attention(CONFIG, name="attention")
    layer.build(X.shape, None)
    w = weights(layer)
    output = np.asarray(layer(X, packed_attention_bias(EXAMPLE_IDS, PADDING_MASK)))
    for row, span in ((0, slice(0, 3)), (0, slice(3, 5)), (1, slice(0, 1)), (1, slice(1, 3))):
        example = X[row : row + 1, span]
        close(output[row : row + 1, span], attention(example, np.ones(example.shape[:2]), w, "", CONFIG.num_heads))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_attention_over_padding_alone_is_finite(dtype):
    layer, nothing = Attention(CONFIG, dtype=dtype), np.zeros((2, 5), "int32")
    for bias in (attention_bias(nothing, dtype), packed_attention_bias(nothing, nothing, dtype)):
        assert np.all(np.isfinite(np.asarray(layer(X, bias))))


def test_encoder_block():
    layer = EncoderBlock(CONFIG, name="block")
    layer.build(X.shape, None)
    w = weights(layer)
    attended = norm(X + attention(X, PADDING_MASK, w, "attention/", 3), w, "attention_layer_norm")
    fed = linear(gelu(linear(attended, w, "feed_forward/intermediate")), w, "feed_forward/output")
    close(layer(X, attention_bias(PADDING_MASK)), norm(attended + fed, w, "feed_forward_layer_norm"))


def same_when_described(layer: keras.layers.Layer, *inputs: np.ndarray, **options: bool) -> None:
    """The shapes and dtypes that the layer declares for symbolic inputs are those of its outputs."""
    symbols = [keras.KerasTensor(values.shape, str(values.dtype)) for values in inputs]
    described, given = layer(*symbols, **options), layer(*inputs, **options)
    for symbol, tensor in zip(keras.tree.flatten(described), keras.tree.flatten(given), strict=True):
        assert tuple(symbol.shape) == tuple(tensor.shape)
        assert symbol.dtype == keras.backend.standardize_dtype(tensor.dtype)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("return_weights", [False, True])
@pytest.mark.parametrize("positions", [(), (np.array([[4, 0, 1], [1, 1, 2]], "int32"),)], ids=["all", "some"])
def test_encoder_block_describes_its_outputs(positions, return_weights, dtype):
    bias = np.asarray(attention_bias(PADDING_MASK))
    same_when_described(EncoderBlock(CONFIG, dtype=dtype), X, bias, *positions, return_weights=return_weights)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_masked_lm_head_describes_its_outputs(dtype):
    table = np.zeros((CONFIG.vocab_size, CONFIG.hidden_size), "float32")
    same_when_described(MaskedLMHead(CONFIG, dtype=dtype), X, table, np.array([[4, 0, 1], [1, 1, 2]], "int32"))


def test_pooler_reads_the_first_position_only():
    layer = Pooler(CONFIG, name="pooler")
    layer.build(X.shape)
    w = weights(layer)
    close(layer(X), np.tanh(linear(X[:, 0], w, "dense")))


def test_pooler_reads_where_the_examples_start():
    layer = Pooler(CONFIG, name="pooler")
    layer.build(X.shape)
    w = weights(layer)
    starts = np.take_along_axis(X, EXAMPLE_STARTS[:, :, None], axis=1)
    close(layer(X, EXAMPLE_STARTS), np.tanh(linear(starts, w, "dense")))


@pytest.mark.parametrize("pooled", [X[:, 0], X[:, :3]], ids=["row", "packed row"])
def test_next_sentence_head(pooled):
    layer = NextSentenceHead(CONFIG, name="head")
    layer.build(pooled.shape)
    w = weights(layer)
    close(layer(pooled), linear(pooled, w, "dense"))


def test_masked_lm_head_is_tied_to_the_token_embedding():
    embeddings = BertEmbeddings(CONFIG, name="embeddings")
    embeddings.build((1, 4), (1, 4))
    table = weights(embeddings)["token_embedding"]
    layer = MaskedLMHead(CONFIG, name="head")
    positions = np.array([[4, 0], [1, 1]])
    layer.build(X.shape, table.shape, positions.shape)
    embeddings.token_embedding.assign(table)
    own = [*layer.transform.weights, *layer.layer_norm.weights, layer.bias]
    rng = np.random.default_rng(3)
    for variable in own:
        variable.assign(rng.normal(size=variable.shape))
    w = {variable.path.split("/", 1)[1]: np.array(variable, "float64") for variable in own}
    vectors = np.take_along_axis(X, positions[:, :, None], axis=1)
    transformed = norm(gelu(linear(vectors, w, "transform")), w, "layer_norm")
    close(layer(X, ops.array(table, "float32"), positions), transformed @ table.T + w["bias"])


def test_weights_start_as_in_the_paper():
    backbone = kbs.BertBackbone(CONFIG.replace(hidden_size=192, num_heads=3, vocab_size=500))
    for variable in backbone.trainable_variables:
        values = np.asarray(variable)
        if variable.path.endswith(("kernel", "embedding")):
            assert np.abs(values).max() <= 2 * 0.02 + 1e-6, variable.path
            # A normal distribution with deviation 0.02, cut at two deviations, has 0.0176; small tables vary more.
            assert abs(values.std() - 0.0176) < 0.002, variable.path
            assert abs(values.mean()) < 0.002, variable.path
        else:
            assert np.all(values == (1.0 if variable.path.endswith("gamma") else 0.0)), variable.path
