"""What holds for the exported model of every task: no Python is needed, and a server may join requests to batches."""

import functools
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text
from fast_and_slow import slow_but
from serving.every_task import TASKS, asked_rows, fine_tuned
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2

import keras_bert_scratch as kbs
from keras_bert_scratch.serving.endpoints import columns_of
from keras_bert_scratch.serving.requests import request

# Operations of tensorflow-text that exported graphs may use, and their libraries; TensorFlow Serving has them, too.
TEXT_OPERATIONS = {
    "FastWordpieceTokenizeWithOffsets": "_fast_wordpiece_tokenizer",
    "NormalizeUTF8": "_normalize_ops",
    "RegexSplitWithOffsets": "_regex_split_ops",
}

DOCS = Path(__file__).parents[2] / "docs"
FAST = ["qa"]
ONE_OF_EACH_TASK = [name for name in TASKS if name not in ("pairs", "long texts", "ner", "embed tokens")]


def joined(several: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The batch of some requests: shorter tensors are padded with their first element."""
    batch = {}
    for name in several[0]:
        tensors = [request[name] for request in several]
        sizes = np.max([tensor.shape[1:] for tensor in tensors], axis=0).astype(int) if tensors[0].ndim > 1 else []
        batch[name] = np.concatenate(
            [
                np.pad(
                    tensor,
                    [(0, 0), *((0, most - size) for most, size in zip(sizes, tensor.shape[1:], strict=True))],
                    constant_values=tensor.flat[0],
                )
                for tensor in tensors
            ]
        )
    return batch


@functools.cache
def signatures_of(path: Path) -> Any:
    return tf.saved_model.load(str(path)).signatures


def ask(signature, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    _, specs = signature.structured_input_signature
    outputs = signature(**{name: tf.constant(values, specs[name].dtype) for name, values in inputs.items()})
    return {name: value.numpy() for name, value in outputs.items()}


def clients_of(tuned: kbs.FineTuned) -> dict[str, list[dict[str, np.ndarray]]]:
    """By signature, the inputs that some clients send, for one row or several."""
    return {
        signature: [
            {name: value.numpy() for name, value in request(tuned, signature, rows).items()}
            for rows in asked_rows(columns)
        ]
        for signature, columns in columns_of(tuned).items()
    }


def assert_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray], what: str) -> None:
    assert set(ours) == set(theirs), what
    for output, values in theirs.items():
        if values.dtype == np.float32:
            np.testing.assert_allclose(ours[output], values, atol=1e-4, err_msg=f"{what} {output}")
        else:
            assert ours[output].tolist() == values.tolist(), f"{what} {output}"


@pytest.fixture(scope="module")
def exported(small, tokenizer, tmp_path_factory) -> Callable[[str], tuple[kbs.FineTuned, Path]]:
    """The model of a task, and the folder that it was exported to."""
    folder = tmp_path_factory.mktemp("exported")

    @functools.cache
    def exported(name):
        tuned = fine_tuned(name, small, tokenizer)
        kbs.export_saved_model(tuned, folder / name, warm_up=False)
        return tuned, folder / name

    return exported


@pytest.fixture(scope="module")
def answers(exported) -> Callable[[str], dict[str, tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]]:
    """For a task, by signature: the joined batch of all clients, and its outputs."""

    @functools.cache
    def answers(name):
        tuned, path = exported(name)
        signatures, asked = signatures_of(path), clients_of(tuned)
        assert set(signatures) == set(asked)
        batches = {signature: joined(several) for signature, several in asked.items()}
        return {signature: (batch, ask(signatures[signature], batch)) for signature, batch in batches.items()}

    return answers


@pytest.mark.parametrize("name", slow_but(FAST, TASKS))
def test_each_client_of_a_batch_gets_its_own_answer(exported, answers, name):
    tuned, path = exported(name)
    signatures = signatures_of(path)
    for signature, clients in clients_of(tuned).items():
        _, together = answers(name)[signature]
        rows = [len(next(iter(client.values()))) for client in clients]
        assert {len(values) for values in together.values()} == {sum(rows)}, signature
        first = np.cumsum([0, *rows])
        for start, limit, client in zip(first[:-1], first[1:], clients, strict=True):
            alone = ask(signatures[signature], client)
            # Lists are padded to the longest list of the batch.
            ours = {
                output: together[output][start:limit][tuple(slice(size) for size in values.shape)]
                for output, values in alone.items()
            }
            assert_equal(ours, alone, signature)


@pytest.mark.parametrize("name", slow_but(FAST, TASKS))
def test_the_graph_computes_what_the_model_does(exported, answers, name):
    """Rows of all lengths, also where a row is read in windows."""
    tuned, _ = exported(name)
    for columns in tuned.task.forms(tuned.spec):
        rows = [row for several in asked_rows(columns) for row in several]
        expected, _ = tuned.decoded({column: [row[column] for row in rows] for column in columns})
        signature = next(key for key, value in columns_of(tuned).items() if value == columns)
        _, found = answers(name)[signature]
        assert set(found) == {*expected, "token_count", "truncated"}
        for output, values in expected.items():
            both = tuple(map(slice, np.minimum(values.shape, found[output].shape)))  # without the padding of the batch
            assert_equal({output: found[output][both]}, {output: values[both]}, signature)


@pytest.mark.slow
def test_only_operations_that_servers_have_are_used(exported):
    """TensorFlow's own operations, as a process without tensorflow-text knows them, and those of `TEXT_OPERATIONS`."""
    used = set()
    for name in ONE_OF_EACH_TASK:
        _, path = exported(name)
        saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        graph = saved.meta_graphs[0].graph_def
        functions = {function.signature.name for function in graph.library.function}
        nodes = itertools.chain(graph.node, *(function.node_def for function in graph.library.function))
        used |= {node.op for node in nodes} - functions
    script = (
        "import sys, tensorflow as tf\n"
        "from tensorflow.python.framework import op_def_registry\n"
        "print(*(name for name in sys.argv[1:] if op_def_registry.get(name) is None))"
    )
    run = subprocess.run([sys.executable, "-c", script, *used], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == set(TEXT_OPERATIONS)
    assert not used & {"PyFunc", "EagerPyFunc", "PyFuncStateless", "XlaLaunch", "NumpyFunc"}


@pytest.mark.slow
def test_tensorflow_s_own_tool_asks_it(exported):
    """By the command of docs/serving.md."""
    command = re.search(r"    (python -c .*)\n +(--tag_set .*)\n", (DOCS / "serving.md").read_text())
    words = shlex.split(" ".join(command.groups()).replace("\\ ", " "))
    _, path = exported("classification")
    words = [sys.executable, *(str(path) if word == "saved_model" else word for word in words[1:])]
    run = subprocess.run(words, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    answered = ask(signatures_of(path)["serving_default"], {"text": np.array([b"A joy."], object)})
    assert f"Result for output key label:\n{answered['label']}" in run.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """A C++ program that uses TensorFlow without Python."""
    if not shutil.which("g++"):
        pytest.skip("needs g++: apt-get install g++")
    tensorflow, path = Path(tf.__file__).parent, tmp_path_factory.mktemp("program") / "ask_saved_models"
    libraries = [tensorflow / name for name in ("libtensorflow_cc.so.2", "libtensorflow_framework.so.2")]
    flags = ["-std=c++17", "-D_GLIBCXX_USE_CXX11_ABI=1", "-isystem", tensorflow / "include", f"-Wl,-rpath,{tensorflow}"]
    source = Path(__file__).parent / "ask_saved_models.cc"
    subprocess.run(["g++", *flags, source, "-o", path, *libraries], check=True)
    return path


@pytest.mark.slow
def test_no_python_is_needed(exported, answers, program, tmp_path):
    """Every signature of every task, in one process of the program, returns what it returns in Python."""
    folders = []
    for name in ONE_OF_EACH_TASK:
        folders += [exported(name)[1], tmp_path / name]
        for signature, (batch, _) in answers(name).items():
            for folder in ("in", "out"):
                (tmp_path / name / signature / folder).mkdir(parents=True)
            for column, values in batch.items():
                file = tmp_path / name / signature / "in" / column
                file.write_bytes(tf.make_tensor_proto(values).SerializeToString())
    text = Path(tensorflow_text.__file__).parent / "python/ops"
    libraries = [text / f"{library}.so" for library in TEXT_OPERATIONS.values()]
    environment = {"PATH": os.environ["PATH"], "TF_CPP_MIN_LOG_LEVEL": "2"}
    run = subprocess.run([program, *libraries, "--", *folders], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for name in ONE_OF_EACH_TASK:
        for signature, (_, expected) in answers(name).items():
            ours = {
                file.name: tf.make_ndarray(tensor_pb2.TensorProto.FromString(file.read_bytes()))
                for file in (tmp_path / name / signature / "out").iterdir()
            }
            assert_equal(ours, expected, f"{name} {signature}")
