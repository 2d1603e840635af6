"""TensorFlow Serving's REST protocol: `/v1/models/NAME`.

Specification: https://www.tensorflow.org/tfx/serving/api_rest
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from starlette.requests import Request
from starlette.routing import Route

from keras_bert_scratch.serving.server.http_bodies import as_endpoint, body_of, version_of
from keras_bert_scratch.serving.server.model_metadata import signature_defs, version_states
from keras_bert_scratch.serving.server.request_error import bad_request
from keras_bert_scratch.serving.server.served_model import ServedModel, Signature
from keras_bert_scratch.serving.server.service import Service, check_names, signature_of
from keras_bert_scratch.serving.server.tensor_json import BASE64, array_of, parsed_object, readable
from keras_bert_scratch.serving.signatures import CLASSIFY, REGRESS, SIGNATURE

PROTOCOL = "tensorflow-serving-rest"
MODEL = "/v1/models/{name}"
FIELDS = {"signature_name", "instances", "inputs"}


class TensorFlowServingRest:
    """The routes of the protocol.

    Args:
        service: Service. Answers the requests.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Returns all routes, the more specific ones first."""
        handlers = {":predict": self.predict, ":classify": self.classify, ":regress": self.regress}
        found = []
        for model in (MODEL + "/versions/{version}", MODEL):
            for ending, handler in handlers.items():
                found.append(self._route(model + ending, handler, "POST"))
            found.append(self._route(model + "/metadata", self.metadata, "GET"))
            found.append(self._route(model, self.status, "GET"))
        return found

    def _route(self, path: str, handler: Any, method: str) -> Route:
        return Route(path, as_endpoint(handler, PROTOCOL, self._service.metrics), methods=[method])

    async def predict(self, request: Request) -> dict[str, Any]:
        """Rows as objects (`instances`), or columns (`inputs`)."""
        _, model = self._model(request)
        asked = parsed_object(await body_of(request))
        _check_fields(asked, FIELDS)
        name = _signature_name(asked, SIGNATURE)
        signature = signature_of(model, name)
        if ("instances" in asked) == ("inputs" in asked):
            raise bad_request("the body must have either 'instances' or 'inputs'")
        by_row = "instances" in asked
        columns = _columns_of_rows(signature, asked["instances"]) if by_row else _columns(signature, asked["inputs"])
        check_names(signature, columns)
        inputs = {key: array_of(key, value, signature.inputs[key]) for key, value in columns.items()}
        outputs = {key: readable(value) for key, value in (await self._service.infer(model, name, inputs)).items()}
        if not by_row:
            return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
        rows = len(next(iter(inputs.values())))
        if len(outputs) == 1:
            (values,) = outputs.values()
            return {"predictions": [values[row] for row in range(rows)]}
        return {"predictions": [{key: values[row] for key, values in outputs.items()} for row in range(rows)]}

    async def classify(self, request: Request) -> dict[str, Any]:
        """For each example, the pairs of class and score."""
        outputs = await self._of_examples(request, CLASSIFY)
        both = zip(readable(outputs["classes"]), outputs["scores"].tolist(), strict=True)
        return {"result": [list(map(list, zip(*row, strict=True))) for row in both]}

    async def regress(self, request: Request) -> dict[str, Any]:
        """For each example, the number."""
        return {"result": (await self._of_examples(request, REGRESS))["outputs"]}

    async def _of_examples(self, request: Request, method: str) -> Mapping[str, np.ndarray]:
        _, model = self._model(request)
        asked = parsed_object(await body_of(request))
        _check_fields(asked, {"signature_name", "examples", "context"})
        name = _signature_name(asked, method)
        signature_of(model, name)
        if name != method:
            raise bad_request(f"the signature {name!r} does not support {method}; use ':predict'")
        examples = asked.get("examples")
        if not isinstance(examples, list) or not all(isinstance(example, dict) for example in examples):
            raise bad_request("the body must have 'examples', a list of objects")
        context = asked.get("context", {})
        if not isinstance(context, dict):
            raise bad_request("'context' must be an object")
        serialized = [_example({**context, **example}).SerializeToString() for example in examples]
        return await self._service.infer(model, name, {"inputs": np.array(serialized, object)})

    async def metadata(self, request: Request) -> dict[str, Any]:
        """The signatures."""
        number, model = self._model(request)
        name = request.path_params["name"]
        described = json_format.MessageToDict(
            signature_defs(model), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        spec = {"name": name, "signature_name": "", "version": str(number)}
        return {"model_spec": spec, "metadata": {"signature_def": described}}

    async def status(self, request: Request) -> dict[str, Any]:
        """The state of each version: served, or failed to load."""
        states = version_states(self._service.store, request.path_params["name"], version_of(request))
        return {
            "model_version_status": [
                json_format.MessageToDict(
                    state, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
                )
                for state in states
            ]
        }

    def _model(self, request: Request) -> tuple[int, ServedModel]:
        return self._service.store.find(request.path_params["name"], version_of(request))


def _check_fields(asked: Mapping[str, Any], known: set[str]) -> None:
    if unknown := set(asked) - known:
        raise bad_request(
            f"the body has unknown fields {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}"
        )


def _signature_name(asked: Mapping[str, Any], default: str) -> str:
    name = asked.get("signature_name", default)
    if not isinstance(name, str):
        raise bad_request("'signature_name' must be a string")
    return name or default


def _columns_of_rows(signature: Signature, rows: Any) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise bad_request("'instances' must be a list of rows, at least one")
    if len(signature.inputs) == 1:  # the name may be left out
        (name,) = signature.inputs
        rows = [row if isinstance(row, dict) and set(row) != {BASE64} else {name: row} for row in rows]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise bad_request(f"row {number} must be an object with {', '.join(signature.inputs)}")
        check_names(signature, row)
    return {name: [row[name] for row in rows] for name in signature.inputs}


def _columns(signature: Signature, columns: Any) -> dict[str, Any]:
    if len(signature.inputs) == 1 and not (isinstance(columns, dict) and set(columns) != {BASE64}):
        (name,) = signature.inputs
        return {name: columns}
    if not isinstance(columns, dict):
        raise bad_request(f"'inputs' must be an object with {', '.join(signature.inputs)}")
    return columns


def _example(row: Mapping[str, Any]) -> tf.train.Example:
    spec = tf.TensorSpec([None], tf.string)
    features = {}
    for name, value in row.items():
        texts = array_of(name, value if isinstance(value, list) else [value], spec)
        features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=list(texts)))
    return tf.train.Example(features=tf.train.Features(feature=features))
