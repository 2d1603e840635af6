"""Engines beside TensorFlow that run the network of an exported model: LiteRT and ONNX Runtime, in float32 and int8."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError

# From a network's inputs to its outputs, both by name.
Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def litert_file(function: Any, path: Path, int8: bool) -> None:
    """Writes a network for LiteRT.

    Args:
        function: concrete function, from int32 tensors to a dict of tensors.
        path: of the file, `.tflite`.
        int8: whether matrices are stored in 8 bits; what is multiplied with them is then rounded to 8 bits as it comes.
    """
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path.write_bytes(converter.convert())


def litert(path: Path, threads: int = 1) -> Run:
    """What runs a file of `litert_file`; one call at a time."""
    runner = tf.lite.Interpreter(str(path), num_threads=threads).get_signature_runner()
    lock = threading.Lock()

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        with lock:
            return runner(**inputs)

    return run


def onnx_file(function: Any, path: Path, int8: bool) -> None:
    """Writes a network for ONNX Runtime; arguments as for `litert_file`, the file is an `.onnx`.

    Raises:
        UserError: what it takes is not installed.
    """
    try:
        import onnx
        import tf2onnx
        from onnxruntime.quantization import quantize_dynamic
    except ImportError as error:
        raise UserError(f"`variants`: {error.name} is missing; pip install 'keras_bert_scratch[onnx]'") from None
    names = [f"{tensor.name}:0" if ":" not in tensor.name else tensor.name for tensor in function.inputs]
    outputs = [tensor.name for tensor in function.outputs]
    graph, _ = tf2onnx.convert._convert_common(function.graph.as_graph_def(), input_names=names, output_names=outputs)
    onnx.save(graph, path)
    if int8:
        quantize_dynamic(path, path)
