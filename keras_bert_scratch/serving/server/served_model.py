"""ServedModel: one loaded version of an exported model, with the specs of its signatures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import TASK_FILE
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.serving.endpoints import counters_of, endpoints_of
from keras_bert_scratch.serving.requests import request
from keras_bert_scratch.serving.server.litert_network import InferenceBundle, with_litert
from keras_bert_scratch.serving.signatures import ATTENTION, IDS, SERVE_IDS, SIGNATURE, load_saved_model
from keras_bert_scratch.serving.warm_up import FILE as WARM_UP_FILE
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.tokenizer import BertTokenizer

TENSORFLOW = "tensorflow"
# With AVX-512, LiteRT multiplies this many rows of a matrix at once, so padding to a multiple of it is free. A change
# of shape takes 0.3 ms.
LITERT_LENGTH_STEP = 7
ENGINES = (TENSORFLOW, "litert", "litert-int8")


@dataclasses.dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a signature.

    Args:
        inputs: mapping. Specs by name; the first axis is the row.
        outputs: mapping. The same.
    """

    inputs: Mapping[str, tf.TensorSpec]
    outputs: Mapping[str, tf.TensorSpec]


class ServedModel:
    """A loaded SavedModel of `keras-bert export`; it takes arrays, and any thread may call it.

    Args:
        path: path. The SavedModel's folder.
        engine: str, default "tensorflow". What runs the network: `"tensorflow"`, `"litert"` or `"litert-int8"`. The
            tokenizer always runs in TensorFlow.
        at_once: int, default 1. Maximum number of concurrent calls.
        label: pair of str, default `("", "")`. Its name and version in metrics.

    Raises:
        UserError: it cannot be loaded, `keras-bert export` did not make it, or it lacks the engine's file.
    """

    def __init__(
        self, path: AnyPath | str, engine: str = TENSORFLOW, at_once: int = 1, label: tuple[str, str] = ("", "")
    ) -> None:
        self.label = label
        self.path = path_of(path)
        if not (self.path / TASK_FILE).exists():
            raise UserError(f"{path}: has no {TASK_FILE}; export it again with 'keras-bert export'")
        self.spec = Spec.load(self.path)
        tokenizer = BertTokenizer.load(self.path / "assets")
        if engine == TENSORFLOW:
            model = InferenceBundle(self.spec, tokenizer)
            self._loaded = load_saved_model(self.path, path)  # keeps the weights alive
            self._functions: Mapping[str, Any] = self._loaded.signatures
        else:
            longest = self.spec.max_length
            lengths = (*range(LITERT_LENGTH_STEP, longest, LITERT_LENGTH_STEP), longest)
            self.spec = dataclasses.replace(self.spec, row_lengths=lengths)
            model = with_litert(self.spec, tokenizer, self.path, engine, at_once)
            self._functions = endpoints_of(model)
        self._model, self._counters = model, counters_of(model)
        self.task = model.task
        self.signatures = {name: _signature(function) for name, function in self._functions.items()}

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature for some rows; `inputs` must match its `Signature`."""
        outputs = _called(self._functions[signature], inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    def sizes(self, signature: str, inputs: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns how many tokens the model reads of each row, and in how many sequences; int `(rows,)` each."""
        if signature == SERVE_IDS:
            ids = next(iter(inputs.values()))
            rows, *choices, length = ids.shape
            return np.full(rows, length), np.full(rows, *choices or [1])
        counter = self._counters[SIGNATURE if signature == ATTENTION else signature]
        found = _called(counter, inputs)
        tokens, sequences = found["tokens"].numpy(), found["sequences"].numpy()
        return tokens if self.is_windowed else np.minimum(tokens, self.spec.max_length), sequences

    @property
    def has_single_sequences(self) -> bool:
        """Whether the model reads each row as a single sequence, so that the cost of a row is bounded."""
        return not self.is_windowed and self.signatures[SERVE_IDS].inputs[IDS[0]].shape.rank == 2

    @property
    def is_windowed(self) -> bool:
        """Whether long rows are split into windows, and not truncated."""
        return self.task.is_windowed(self.spec)

    def padded_length(self, tokens: int) -> int:
        """Returns the length that the sequences of a row of `tokens` tokens are padded to."""
        return next((length for length in self.spec.row_lengths if length >= tokens), self.spec.max_length)

    def warm_up(self) -> None:
        """Runs the warm-up requests of the export, or one row if there are none."""
        for signature, inputs in self._warm_up_requests():
            self.run(signature, inputs)

    def _warm_up_requests(self) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        from tensorflow_serving.apis import prediction_log_pb2

        file = self.path / WARM_UP_FILE
        if not file.exists():
            columns = self.task.forms(self.spec)[0]
            inputs = request(self._model, SIGNATURE, [self.task.sample(columns, ["a"])])
            yield SIGNATURE, {name: value.numpy() for name, value in inputs.items()}
            return
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            asked = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            inputs = {name: tf.make_ndarray(value) for name, value in asked.inputs.items()}
            yield asked.model_spec.signature_name, inputs


def _called(function: Any, inputs: Mapping[str, np.ndarray]) -> Any:
    """Calls a concrete function; loaded ones take their inputs by name, those traced here by position."""
    positional, named = function.structured_input_signature
    tensors = {spec.name: tf.constant(inputs[spec.name], spec.dtype) for spec in (*positional, *named.values())}
    return function(*tensors.values()) if positional else function(**tensors)


def _signature(function: Any) -> Signature:
    specs = tf.nest.flatten(function.structured_input_signature)
    outputs = function.structured_outputs.items()
    return Signature(
        {spec.name: spec for spec in specs},
        {name: tf.TensorSpec(value.shape, value.dtype, name) for name, value in outputs},
    )
