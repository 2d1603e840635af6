"""Engines other than TensorFlow for the network of an exported model: LiteRT and ONNX Runtime, float32 and int8."""

from __future__ import annotations

import importlib
import logging
import queue
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError

LITERT, ONNX = "litert", "onnx"  # extras of this package
MODULES = {LITERT: ("ai_edge_litert",), ONNX: ("onnx", "tf2onnx", "onnxruntime")}
ONNX_OPERATIONS = 17  # the opset of the files
# Computes a network's outputs from its inputs, both by name.
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def check_installed(extra: str, argument: str = "variants") -> None:
    """Raises `UserError`, naming `argument`, unless the packages of an extra are installed."""
    for module in MODULES[extra]:
        try:
            importlib.import_module(module)
        except ImportError:
            raise UserError(f"`{argument}`: {module} is missing; pip install 'keras_bert_scratch[{extra}]'") from None


def write_litert(function: Any, path: Path, int8: bool) -> None:
    """Writes a network for LiteRT.

    Args:
        function: tf.function with an input signature, from int32 tensors to a dict of tensors.
        path: the file to write, `.tflite`.
        int8: whether weight matrices are stored in 8 bits; their inputs are then quantized to 8 bits at run time.
    """
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())


def run_litert(path: Path, threads: int = 1, at_once: int = 1) -> Run:
    """Returns a function that runs a file of `write_litert`, at most `at_once` calls at a time; further calls wait."""
    from ai_edge_litert.interpreter import Interpreter

    free: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(at_once):
        free.put(Interpreter(str(path), num_threads=threads).get_signature_runner())

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        runner = free.get()
        try:
            return runner(**inputs)
        finally:
            free.put(runner)

    return run


def write_onnx(function: Any, path: Path, int8: bool) -> None:
    """Writes a network for ONNX Runtime; arguments as for `write_litert`, the file is an `.onnx`."""
    import onnx
    import tf2onnx
    from onnxruntime.quantization import quantize_dynamic

    graph, _ = tf2onnx.convert.from_function(function, function.input_signature, opset=ONNX_OPERATIONS)
    onnx.save(graph, path)
    if int8:
        logging.disable(logging.WARNING)  # it recommends a preprocessing that changes nothing here
        try:
            quantize_dynamic(path, path)
        finally:
            logging.disable(logging.NOTSET)


def run_onnx(path: Path, threads: int = 1) -> Run:
    """Returns a function that runs a file of `write_onnx`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options)
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))
