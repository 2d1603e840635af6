"""TensorFlow Serving's gRPC protocol: its PredictionService and ModelService, with its own messages.

Specification: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_bert_scratch.serving.server.model_metadata import signature_defs, version_states
from keras_bert_scratch.serving.server.request_error import RequestError, bad_request
from keras_bert_scratch.serving.server.served_model import ServedModel
from keras_bert_scratch.serving.server.service import Service, signature_of
from keras_bert_scratch.serving.signatures import CLASSIFY, REGRESS, SIGNATURE

log = logging.getLogger(__name__)

PROTOCOL = "tensorflow-serving-grpc"
CODES = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
}
POINTER = 8  # bytes of an array's reference to a string
SIGNATURE_DEF = "signature_def"


class TensorFlowServingGrpc(
    prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer
):
    """Both services.

    Args:
        service: Service. Answers the requests.
        most_bytes: int. Maximum size of an input, as of a request.
    """

    def __init__(self, service: Service, most_bytes: int) -> None:
        self._service, self._most_bytes = service, most_bytes

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers both services with a server."""
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(self, server)

    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's name
        """Named tensors in and out; `output_filter` chooses among the outputs."""
        return await self._answered(self._predict, request, context)

    async def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        """For each example, the classes with their scores."""
        return await self._answered(self._classify, request, context)

    async def Regress(self, request: Any, context: Any) -> Any:  # noqa: N802
        """For each example, a number."""
        return await self._answered(self._regress, request, context)

    async def MultiInference(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Not supported: each model here has one head."""
        return await self._answered(_unimplemented, request, context)

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Not supported: the served folders are chosen at the start, and checked for new versions all the time."""
        return await self._answered(_unimplemented, request, context)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The signatures."""
        return await self._answered(self._metadata, request, context)

    async def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The state of each version."""
        return await self._answered(self._status, request, context)

    async def _answered(self, handler: Callable[..., Awaitable[Any]], request: Any, context: Any) -> Any:
        start, code, response, text = time.monotonic(), grpc.StatusCode.OK, None, ""
        try:
            response = await handler(request, context)
        except RequestError as error:
            code = CODES.get(error.status, grpc.StatusCode.INTERNAL)
            if error.retry_after is not None:
                context.set_trailing_metadata((("retry-after", str(error.retry_after)),))
            text = str(error)
        except asyncio.CancelledError:  # the client is gone or no longer waits, or the server stops
            self._service.metrics.unanswered += 1
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception:
            log.exception("%s failed", handler.__name__)
            code, text = grpc.StatusCode.INTERNAL, "the server failed; its log says why"
        finally:
            self._service.metrics.count_request(PROTOCOL, code.name, time.monotonic() - start)
        if code is not grpc.StatusCode.OK:
            await context.abort(code, text)
        return response

    async def _predict(self, request: Any, context: Any) -> predict_pb2.PredictResponse:
        number, model = self._model(request.model_spec)
        name = request.model_spec.signature_name or SIGNATURE
        signature = signature_of(model, name)
        for key in request.output_filter:
            if key not in signature.outputs:
                raise bad_request(f"no output is called {key!r}; outputs: {', '.join(signature.outputs)}")
        inputs = {key: _array(key, value, self._most_bytes) for key, value in request.inputs.items()}
        outputs = await self._service.infer(model, name, inputs, context.time_remaining())
        wanted = list(request.output_filter) or list(outputs)
        return predict_pb2.PredictResponse(
            model_spec=_spec(request.model_spec.name, number, name),
            outputs={key: _tensor_proto(outputs[key]) for key in wanted},
        )

    async def _classify(self, request: Any, context: Any) -> classification_pb2.ClassificationResponse:
        spec, outputs = await self._of_examples(request, context, CLASSIFY)
        result = classification_pb2.ClassificationResult()
        for classes, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            found = result.classifications.add()
            for label, score in zip(classes, scores, strict=True):
                found.classes.add(label=label.decode(), score=score)
        return classification_pb2.ClassificationResponse(result=result, model_spec=spec)

    async def _regress(self, request: Any, context: Any) -> regression_pb2.RegressionResponse:
        spec, outputs = await self._of_examples(request, context, REGRESS)
        result = regression_pb2.RegressionResult()
        for value in outputs["outputs"]:
            result.regressions.add(value=value)
        return regression_pb2.RegressionResponse(result=result, model_spec=spec)

    async def _of_examples(self, request: Any, context: Any, method: str) -> tuple[Any, dict[str, np.ndarray]]:
        number, model = self._model(request.model_spec)
        name = request.model_spec.signature_name or method
        signature_of(model, name)
        if name != method:
            raise bad_request(f"the signature {name!r} does not support {method}; use Predict")
        outputs = await self._service.infer(model, name, {"inputs": _examples(request.input)}, context.time_remaining())
        return _spec(request.model_spec.name, number, name), outputs

    async def _metadata(self, request: Any, context: Any) -> get_model_metadata_pb2.GetModelMetadataResponse:
        number, model = self._model(request.model_spec)
        if list(request.metadata_field) != [SIGNATURE_DEF]:
            raise bad_request(f"metadata_field: must be {SIGNATURE_DEF}, not {', '.join(request.metadata_field)}")
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(request.model_spec.name, number))
        response.metadata[SIGNATURE_DEF].Pack(signature_defs(model))
        return response

    async def _status(self, request: Any, context: Any) -> get_model_status_pb2.GetModelStatusResponse:
        states = version_states(self._service.store, request.model_spec.name, _version(request.model_spec))
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=states)

    def _model(self, spec: model_pb2.ModelSpec) -> tuple[int, ServedModel]:
        return self._service.store.find(spec.name, _version(spec))


async def _unimplemented(request: Any, context: Any) -> None:
    raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "this server does not support this method")


def _version(spec: model_pb2.ModelSpec) -> int | None:
    if spec.version_label:
        raise RequestError(
            HTTPStatus.NOT_FOUND, f"version labels, such as {spec.version_label!r}, are not supported; give a number"
        )
    return spec.version.value if spec.HasField("version") else None


def _spec(name: str, number: int, signature: str = "") -> model_pb2.ModelSpec:
    return model_pb2.ModelSpec(name=name, version={"value": number}, signature_name=signature)


def _array(name: str, proto: Any, most_bytes: int) -> np.ndarray:
    try:
        # A message may hold fewer values than its shape has; the last one then stands for the others.
        size = math.prod(dim.size for dim in proto.tensor_shape.dim) * _bytes_per_value(proto)
        if size > most_bytes:
            raise bad_request(f"{name}: its shape has {size} bytes, more than {most_bytes}; send several requests")
        return np.asarray(tf.make_ndarray(proto))
    except (TypeError, ValueError) as error:
        raise bad_request(f"{name}: is not a valid tensor ({str(error).splitlines()[0]})") from None


def _bytes_per_value(proto: Any) -> int:
    kind = tf.as_dtype(proto.dtype)
    return POINTER + len(proto.string_val[-1] if proto.string_val else b"") if kind == tf.string else kind.size


def _tensor_proto(values: np.ndarray) -> Any:
    return tf.make_tensor_proto(values, tf.string if values.dtype == object else values.dtype)


def _examples(given: Any) -> np.ndarray:
    kind = given.WhichOneof("kind")
    if kind is None:
        raise bad_request("input: has no examples")
    found = getattr(given, kind)
    examples = list(found.examples)
    if kind == "example_list_with_context":
        for example in examples:
            for name, feature in found.context.features.feature.items():
                if name not in example.features.feature:
                    example.features.feature[name].CopyFrom(feature)
    return np.array([example.SerializeToString() for example in examples], object)
