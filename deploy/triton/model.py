"""What Triton's Python backend runs: a SavedModel's signature; requests that wait are answered in one call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  # registers the operations that the tokenizer consists of
import triton_python_backend_utils as triton


class TritonPythonModel:
    """One instance of the model; its methods are called by Triton."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the SavedModel of this version."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self._loaded = tf.saved_model.load(str(folder / "saved_model"))
        self._ask = self._loaded.signatures[(folder / "signature.txt").read_text()]
        self._inputs = self._ask.structured_input_signature[1]
        config = json.loads(args["model_config"])
        self._types = {
            output["name"]: triton.triton_string_to_numpy(output["data_type"]) for output in config["output"]
        }

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers the requests together; if that fails each by itself, so that only what is wrong fails."""
        asked = [
            {name: triton.get_input_tensor_by_name(one, name).as_numpy() for name in self._inputs} for one in requests
        ]
        try:
            return self._answered(asked)
        except tf.errors.OpError:
            return [self._alone(one) for one in asked]

    def _alone(self, asked: dict[str, np.ndarray]) -> Any:
        try:
            return self._answered([asked])[0]
        except tf.errors.OpError as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error).splitlines()[0]))

    def _answered(self, asked: list[dict[str, np.ndarray]]) -> list[Any]:
        joined = {name: tf.constant(self._joined(name, [one[name] for one in asked])) for name in self._inputs}
        outputs = {name: value.numpy() for name, value in self._ask(**joined).items()}
        limits = np.cumsum([len(next(iter(one.values()))) for one in asked])
        return [
            triton.InferenceResponse([self._output(name, value[start:limit]) for name, value in outputs.items()])
            for start, limit in zip([0, *limits[:-1]], limits, strict=True)
        ]

    def _joined(self, name: str, tensors: list[np.ndarray]) -> np.ndarray:
        """The rows of all requests; lists are padded, and a text is no longer a list of one."""
        if self._inputs[name].shape.rank == 1:
            return np.concatenate([tensor[:, 0] for tensor in tensors])
        sizes = np.max([tensor.shape[1:] for tensor in tensors], axis=0)
        filling: Any = b"" if tensors[0].dtype == object else 0
        padded = []
        for tensor in tensors:
            widths = [(0, 0), *((0, most - size) for most, size in zip(sizes, tensor.shape[1:], strict=True))]
            padded.append(np.pad(tensor, widths, constant_values=filling))
        return np.concatenate(padded)

    def _output(self, name: str, values: np.ndarray) -> Any:
        values = values[:, None] if values.ndim == 1 else values
        return triton.Tensor(name, values.astype(self._types[name]))
