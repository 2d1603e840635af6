"""Variants: the network of an exported model for other engines, and how each compares with the SavedModel."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.engines import (
    LITERT,
    ONNX,
    Run,
    check_installed,
    run_litert,
    run_onnx,
    write_litert,
    write_onnx,
)
from keras_bert_scratch.serving.frozen_network import FrozenNetwork
from keras_bert_scratch.tasks.data.columns import as_tensors
from keras_bert_scratch.tasks.examples import Examples
from keras_bert_scratch.tasks.fine_tuned import FineTuned

FOLDER = "variants"
SAVED_MODEL = "SavedModel"
REPEATS = 20
SHAPES = ((1, 16), (1, 64), (16, 32))  # rows and tokens of the timed batches


@dataclasses.dataclass(frozen=True)
class Variant:
    """A form of the network for another engine.

    Args:
        file: str. Name of the file.
        write: callable. Writes the file, in int8 or float32.
        run: callable. Loads the file and returns a function that runs it.
        int8: bool. Whether the file is in int8.
        extra: str. The extra of this package that installs what it needs.
    """

    file: str
    write: Callable[[Any, Path, bool], None]
    run: Callable[[Path], Run]
    int8: bool
    extra: str


VARIANTS = {
    "litert": Variant("network.tflite", write_litert, run_litert, False, LITERT),
    "litert-int8": Variant("network-int8.tflite", write_litert, run_litert, True, LITERT),
    "onnx": Variant("network.onnx", write_onnx, run_onnx, False, ONNX),
    "onnx-int8": Variant("network-int8.onnx", write_onnx, run_onnx, True, ONNX),
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """The measurements of a variant.

    Args:
        name: str. A name in `VARIANTS`, or `"SavedModel"`.
        size: int. Bytes of its files.
        milliseconds: mapping. Median time of the network alone, by `(rows, tokens)`; other engines use one thread.
        results: mapping. The task's metrics with this variant; empty without data.
    """

    name: str
    size: int
    milliseconds: Mapping[tuple[int, int], float]
    results: Mapping[str, Any]

    @property
    def size_and_times(self) -> dict[str, str]:
        """Size and times as cells of a table, by heading."""
        times = {f"ms, {rows} x {tokens}": f"{spent:.2f}" for (rows, tokens), spent in self.milliseconds.items()}
        return {"MB": f"{self.size / 1e6:.1f}", **times}

    @property
    def row(self) -> dict[str, str | float]:
        """Size, times and all metrics that are numbers, by heading."""
        numbers = {name: value for name, value in self.results.items() if isinstance(value, (int, float))}
        return {**self.size_and_times, **numbers}


def check_variants(tuned: FineTuned, names: Sequence[str]) -> None:
    """Raises `UserError` if a variant is unknown, impossible for this model, or its engine is not installed."""
    for name in names:
        if name not in VARIANTS:
            raise UserError(f"`variants`: {name!r} is unknown; choose from {', '.join(VARIANTS)}")
    if names and tuned.task.teacher_forced:
        raise UserError(f"`variants`: {tuned.spec.task} calls its network step by step; leave them out")
    if names and tuned.model.compute_dtype != "float32":
        raise UserError(
            f"`variants`: need a float32 model, not {tuned.model.compute_dtype}; export with `dtype='float32'`"
        )
    for name in names:
        check_installed(VARIANTS[name].extra)


def write_variants(tuned: FineTuned, path: Path, names: Sequence[str], examples: Examples | None) -> list[Measured]:
    """Writes variants into the SavedModel at `path`, and measures the SavedModel and each variant.

    Args:
        tuned: FineTuned. The exported model, with its `FrozenNetwork`.
        path: the SavedModel's folder.
        names: names in `VARIANTS`.
        examples: labelled data to measure with, or None.
    """

    def measured(name: str, files: Sequence[Path], run: Run, model: FineTuned) -> Measured:
        results = {} if examples is None else model.evaluate(examples)
        return Measured(name, sum(file.stat().st_size for file in files), _milliseconds(tuned, run), results)

    (path / FOLDER).mkdir()
    own = [path / "saved_model.pb", *(path / "variables").iterdir()]
    found = [measured(SAVED_MODEL, own, _eager(_named(tuned.network)), tuned)]
    function = _named(FrozenNetwork(tuned.model))
    for name in names:
        variant = VARIANTS[name]
        file = path / FOLDER / variant.file
        variant.write(function, file, variant.int8)
        run = variant.run(file)
        found.append(measured(name, [file], run, dataclasses.replace(tuned, network=EngineModel(tuned.model, run))))
    return found


class EngineModel:
    """A model whose call runs on another engine; everything else is delegated to the model.

    Args:
        model: keras.Model. Its inputs have names.
        run: callable. The engine.
    """

    def __init__(self, model: Any, run: Run) -> None:
        self._model, self._run = model, run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> Any:
        outputs, given = _by_name(self._model.output), list(self._model.input)

        @tf.autograph.experimental.do_not_convert
        def run(*values: np.ndarray) -> list[np.ndarray]:
            rows = len(values[0])
            if not rows:  # LiteRT cannot run an empty batch
                values = tuple(np.zeros((1, *value.shape[1:]), value.dtype) for value in values)
            found = self._run(dict(zip(given, values, strict=True)))
            return [found[name][:rows] for name in outputs]

        values = tf.numpy_function(run, [inputs[name] for name in given], [value.dtype for value in outputs.values()])
        for value, symbolic in zip(values, outputs.values(), strict=True):
            value.set_shape(symbolic.shape)
        return tf.nest.pack_sequence_as(self._model.output, values)


def _by_name(outputs: Any) -> dict[str, Any]:
    """Returns a model's outputs in order, by the names that they have in the variants' files."""
    flat = tf.nest.flatten(outputs)
    names = sorted(outputs) if isinstance(outputs, Mapping) else [f"output_{number}" for number in range(len(flat))]
    return dict(zip(names, flat, strict=True))


def _named(network: Any) -> Any:
    """Returns the network as a function with positional inputs and named outputs."""
    specs = [tf.TensorSpec([None] * len(value.shape), value.dtype, name) for name, value in network.input.items()]

    def named(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return _by_name(network(dict(zip(network.input, values, strict=True))))

    return tf.function(named, input_signature=specs, autograph=False)


def _eager(function: Any) -> Run:
    names = [spec.name for spec in function.input_signature]

    def run(inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        outputs = function(*(tf.constant(inputs[name]) for name in names))
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def _milliseconds(tuned: FineTuned, run: Run) -> dict[tuple[int, int], float]:
    found = {}
    for rows, length in SHAPES:
        length = min(length, tuned.spec.max_length)
        inputs = _inputs(tuned, rows, length)
        run(inputs)
        times = []
        for _ in range(REPEATS):
            start = time.perf_counter()
            run(inputs)
            times.append(time.perf_counter() - start)
        found[rows, length] = 1e3 * float(np.median(times))
    return found


def _inputs(tuned: FineTuned, rows: int, length: int) -> dict[str, np.ndarray]:
    """Returns network inputs of `rows` equal rows, one window each, of `length` tokens or slightly fewer."""
    row = tuned.task.sample(tuned.spec.columns, ["a"] * (length - 2))
    raw = {column: [value] for column, value in row.items()}
    inputs = tuned.task.features(tuned.spec, tuned.tokenizer, as_tensors(raw)).inputs
    return {name: np.repeat(inputs[name].numpy()[:1, ..., :length], rows, axis=0) for name in tuned.model.input}
