"""The whole training step as one XLA program, as a TPU needs it: static shapes, nothing on the host, no strings."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_bert_scratch as kbs
from keras_bert_scratch.training.metric_sums import MetricSums
from keras_bert_scratch.training.train_function import TrainFunction

CONFIG = kbs.BertConfig(vocab_size=60, num_layers=1, hidden_size=32, intermediate_size=64)
ROWS, LENGTH, PREDICTIONS, EXAMPLES, STEPS = 4, 16, 3, 2, 3
# Operations that leave the program: Python, files, printing, datasets.
ON_THE_HOST = ("PyFunc", "EagerPyFunc", "PrintV2", "ReadFile", "WriteFile", "IteratorGetNext", "Assert")


def a_batch() -> tuple[dict, dict, dict]:
    rng = np.random.default_rng(0)
    tokens = rng.integers(5, 60, (ROWS, LENGTH)).astype("int32")
    ids = np.repeat([[1] * 10 + [2] * 6], ROWS, axis=0).astype("int32")
    inputs = {
        "token_ids": tokens,
        "segment_ids": 0 * tokens,
        "padding_mask": np.ones_like(tokens),
        "example_ids": ids,
        "example_starts": np.repeat([[0, 10]], ROWS, axis=0).astype("int32"),
        "mask_positions": np.repeat([[2, 5, 11]], ROWS, axis=0).astype("int32"),
    }
    labels = {
        "masked_lm": rng.integers(5, 60, (ROWS, PREDICTIONS)),
        "next_sentence": rng.integers(0, 2, (ROWS, EXAMPLES)),
    }
    weights = {
        "masked_lm": np.ones((ROWS, PREDICTIONS), "float32"),
        "next_sentence": np.ones((ROWS, EXAMPLES), "float32"),
    }
    return tf.nest.map_structure(tf.constant, (inputs, labels, weights))


def a_model(dtype: str, accumulate: int, dropout: float = 0.0) -> kbs.BertPretrainer:
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(CONFIG, hidden_dropout=dropout, attention_dropout=dropout)
    model = kbs.BertPretrainer(kbs.BertBackbone(config, dtype=dtype, packed=True, remat=True))
    model.compile(kbs.BertAdamW(1e-2), accumulate=accumulate)
    return model


def one_program(model: kbs.BertPretrainer) -> Any:
    function = model.make_train_function()

    @tf.function(jit_compile=True)
    def step(batch):
        return function._replica_step(batch, *function._arguments())

    return step


def loss_of(model: kbs.BertPretrainer, results: tuple) -> float:
    sums = MetricSums(model.objectives)
    sums.add(*(result.numpy() for result in results[:2]))
    return sums.result()["loss"]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "accumulate"), [("float32", 2), ("mixed_float16", 1)])
def test_the_step_as_one_program_gives_what_fit_gives(dtype, accumulate):
    batch, model, plain = a_batch(), a_model(dtype, accumulate), a_model(dtype, accumulate)
    step = one_program(model)
    found = [loss_of(model, step(batch)) for _ in range(STEPS)]
    batches = tf.data.Dataset.from_tensors(batch)
    expected = [plain.fit(batches, verbose=0).history["loss"][0] for _ in range(STEPS)]
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 2e-3)
    assert int(model.optimizer.iterations.numpy()) == STEPS
    assert step.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_nothing_of_the_step_is_on_the_host():
    """With dropout, accumulation and remat. XLA requires static shapes; the list rules out host operations."""
    batch, model = a_batch(), a_model("float32", 2, dropout=0.1)
    step = one_program(model)
    assert np.isfinite(loss_of(model, step(batch)))
    definition = step.get_concrete_function(batch).graph.as_graph_def()
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    assert len(nodes) > 1000
    assert not {node.op for node in nodes} & set(ON_THE_HOST)
    assert not [node.name for node in nodes if node.attr["dtype"].type == tf.string.as_datatype_enum]


@pytest.mark.slow
def test_parts_of_a_batch_are_worked_through_one_after_another():
    """In parallel they would need the memory of all parts at once."""
    function = a_model("float32", 2).make_train_function()
    step = tf.function(lambda batch: function._replica_step(batch, *function._arguments()))
    operations = step.get_concrete_function(a_batch()).graph.get_operations()
    first, second = [op for op in operations if "Call" in op.type and "_part_gradients" in op.get_attr("f").name]
    before = [second]
    for op in before:
        before += [other for other in (*(of.op for of in op.inputs), *op.control_inputs) if other not in before]
    assert first in before


@pytest.mark.slow
def test_fit_traces_once_whatever_comes():
    """Two epochs, an evaluation between steps, a rate that changes: one trace of the step, one of its gradients."""
    model = a_model("float32", 1)
    batches = tf.data.Dataset.from_tensors(a_batch()).repeat(3)
    for rate in (1e-2, 1e-3):
        model.optimizer.learning_rate = rate
        model.fit(batches, validation_data=batches.take(1), epochs=2, verbose=0)
    function = model.train_function
    assert isinstance(function, TrainFunction)
    assert [graph.experimental_get_tracing_count() for graph in function._graphs.values()] == [1, 1]
