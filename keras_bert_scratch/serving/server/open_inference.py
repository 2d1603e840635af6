"""The Open Inference Protocol, version 2, over REST: `/v2/models/NAME/infer`, and readiness of server and models.

Specification: https://github.com/kserve/open-inference-protocol
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from starlette.requests import Request
from starlette.routing import Route

from keras_bert_scratch.serving.server.http_bodies import as_endpoint, body_of, version_of
from keras_bert_scratch.serving.server.request_error import bad_request
from keras_bert_scratch.serving.server.served_model import ServedModel, Signature
from keras_bert_scratch.serving.server.service import Service, check_names, signature_of
from keras_bert_scratch.serving.server.tensor_json import array_of, parsed_object, readable
from keras_bert_scratch.serving.signatures import SIGNATURE
from keras_bert_scratch.version import VERSION

PROTOCOL = "open-inference"
MODEL = "/v2/models/{name}"
SIGNATURE_PARAMETER = "signature_name"
DATATYPES = {tf.string: "BYTES", tf.int32: "INT32", tf.int64: "INT64", tf.float32: "FP32", tf.bool: "BOOL"}


class OpenInference:
    """The routes of the protocol; a request's parameter `signature_name` chooses the signature.

    Args:
        service: Service. Answers the requests.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Returns all routes."""
        found = [
            self._route("/v2", self.server, "GET"),
            self._route("/v2/health/live", self.live, "GET"),
            self._route("/v2/health/ready", self.ready, "GET"),
        ]
        for model in (MODEL + "/versions/{version}", MODEL):
            found += [
                self._route(model + "/infer", self.infer, "POST"),
                self._route(model + "/ready", self.model_ready, "GET"),
                self._route(model, self.metadata, "GET"),
            ]
        return found

    def _route(self, path: str, handler: Any, method: str) -> Route:
        return Route(path, as_endpoint(handler, PROTOCOL, self._service.metrics), methods=[method])

    async def server(self, request: Request) -> dict[str, Any]:
        """Name and version of the server."""
        return {"name": "keras-bert", "version": VERSION, "extensions": []}

    async def live(self, request: Request) -> dict[str, bool]:
        """Whether the server runs."""
        return {"live": True}

    async def ready(self, request: Request) -> dict[str, bool]:
        """Whether the server answers: always, as it does not listen before its models are loaded and warm."""
        return {"ready": True}

    async def model_ready(self, request: Request) -> dict[str, Any]:
        """Whether a model answers."""
        number, _ = self._model(request)
        return {"name": request.path_params["name"], "version": str(number), "ready": True}

    async def metadata(self, request: Request) -> dict[str, Any]:
        """Inputs and outputs of `serving_default`."""
        _, model = self._model(request)
        signature = model.signatures[SIGNATURE]
        name = request.path_params["name"]
        return {
            "name": name,
            "versions": [str(number) for number in self._service.store.versions(name)],
            "platform": "keras_bert_scratch",
            "inputs": [_described(spec) for spec in signature.inputs.values()],
            "outputs": [_described(spec) for spec in signature.outputs.values()],
        }

    async def infer(self, request: Request) -> dict[str, Any]:
        """Runs a signature on named tensors, given as flat lists with their shapes."""
        number, model = self._model(request)
        asked = parsed_object(await body_of(request))
        parameters = asked.get("parameters", {})
        name = parameters.get(SIGNATURE_PARAMETER, SIGNATURE) if isinstance(parameters, dict) else None
        if not isinstance(name, str):
            raise bad_request(f"'parameters' must be an object, its {SIGNATURE_PARAMETER!r} a string")
        signature = signature_of(model, name)
        inputs = _inputs(signature, asked.get("inputs"))
        wanted = _wanted(signature, asked.get("outputs"))
        outputs = await self._service.infer(model, name, inputs)
        answer = {
            "model_name": request.path_params["name"],
            "model_version": str(number),
            "outputs": [_output(signature.outputs[key], outputs[key]) for key in wanted],
        }
        if isinstance(asked.get("id"), str):
            answer["id"] = asked["id"]
        return answer

    def _model(self, request: Request) -> tuple[int, ServedModel]:
        return self._service.store.find(request.path_params["name"], version_of(request))


def _described(spec: tf.TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": DATATYPES[spec.dtype], "shape": shape}


def _inputs(signature: Signature, given: Any) -> dict[str, np.ndarray]:
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise bad_request("the body must have 'inputs', a list of objects")
    by_name: dict[str, Mapping[str, Any]] = {}
    for one in given:
        if not isinstance(one.get("name"), str) or one["name"] in by_name:
            raise bad_request("each input must have a unique 'name'")
        by_name[one["name"]] = one
    check_names(signature, by_name)
    return {name: _input(signature.inputs[name], one) for name, one in by_name.items()}


def _input(spec: tf.TensorSpec, one: Mapping[str, Any]) -> np.ndarray:
    name, shape, data = spec.name, one.get("shape"), one.get("data")
    if one.get("datatype") != DATATYPES[spec.dtype]:
        raise bad_request(f"{name}: its 'datatype' must be {DATATYPES[spec.dtype]}, not {one.get('datatype')}")
    sizes = isinstance(shape, list) and all(type(size) is int and 0 <= size < 2**31 for size in shape)
    if not sizes or len(shape) != spec.shape.rank:
        raise bad_request(f"{name}: its 'shape' must be a list of {spec.shape.rank} sizes")
    while isinstance(data, list) and data and isinstance(data[0], list):  # nested is allowed, too
        data = _flattened(name, data)
    if not isinstance(data, list):
        raise bad_request(f"{name}: has no 'data', a list")
    count = 1
    for size in shape:
        count *= size
    if len(data) != count:
        raise bad_request(f"{name}: has {len(data)} values, but its shape {shape} has {count}")
    return array_of(name, data, tf.TensorSpec([None], spec.dtype)).reshape(shape)


def _flattened(name: str, data: list[Any]) -> list[Any]:
    if not all(isinstance(inner, list) for inner in data):
        raise bad_request(f"{name}: its lists have different depths")
    return [item for inner in data for item in inner]


def _wanted(signature: Signature, outputs: Any) -> list[str]:
    if outputs is None or outputs == []:
        return list(signature.outputs)
    if not isinstance(outputs, list) or not all(isinstance(one, dict) for one in outputs):
        raise bad_request("'outputs' must be a list of objects with 'name'")
    names = [one.get("name") for one in outputs]
    for name in names:
        if not isinstance(name, str) or name not in signature.outputs:
            raise bad_request(f"no output is called {name!r}; outputs: {', '.join(signature.outputs)}")
    return names


def _output(spec: tf.TensorSpec, values: np.ndarray) -> dict[str, Any]:
    return {
        "name": spec.name,
        "datatype": DATATYPES[spec.dtype],
        "shape": list(values.shape),
        "data": readable(values.ravel()),
    }
