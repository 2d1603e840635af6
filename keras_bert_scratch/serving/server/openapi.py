"""The OpenAPI description of the server's HTTP API, for the models that it serves."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_bert_scratch.serving.server.model_store import ModelStore
from keras_bert_scratch.serving.server.served_model import ServedModel
from keras_bert_scratch.serving.signatures import SIGNATURE
from keras_bert_scratch.version import VERSION

TYPES = {tf.string: "string", tf.int32: "integer", tf.int64: "integer", tf.float32: "number", tf.bool: "boolean"}
TEXTS = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def openapi_document(store: ModelStore, wants_token: bool) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document; each model has paths of TensorFlow Serving's and the Open Inference protocol.

    Args:
        store: ModelStore. The models.
        wants_token: bool. Whether clients must send a token.
    """
    paths: dict[str, Any] = {
        "/healthz": {"get": _operation("Whether the server answers.", None, media="text/plain")},
        "/metrics": {"get": _operation("Counters for Prometheus.", None, media="text/plain")},
        "/v1/models": {"get": _operation("The models.", None)},
        "/v1/embeddings": {"post": _operation("Embeddings of texts, in OpenAI's format.", _embeddings())},
        "/v1/rerank": {"post": _operation("Documents ranked by their relevance to a query.", _rerank())},
    }
    for name in store.names:
        _, model = store.find(name)
        paths |= _of_model(name, model)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "keras-bert serve", "version": VERSION},
        "paths": paths,
    }
    if wants_token:
        document["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        document["security"] = [{"token": []}]
    return document


def _of_model(name: str, model: ServedModel) -> dict[str, Any]:
    signature = model.signatures[SIGNATURE]
    row = _object({key: _schema(spec) for key, spec in signature.inputs.items()})
    answer = _object({key: _schema(spec) for key, spec in signature.outputs.items()})
    asked = _object({"instances": {"type": "array", "items": row, "minItems": 1}})
    asked["properties"]["signature_name"] = {"type": "string", "enum": list(model.signatures)}
    given = _object({"predictions": {"type": "array", "items": answer}})
    tensor = _object(
        {
            "name": {"type": "string", "enum": list(signature.inputs)},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        }
    )
    inference = _object({"inputs": {"type": "array", "items": tensor}})
    what = f"Runs {name}, a model for {model.spec.task}"
    path = f"/v1/models/{name}"
    return {
        path: {"get": _operation(f"The versions of {name}.", None)},
        f"{path}/metadata": {"get": _operation(f"The signatures of {name}.", None)},
        f"{path}:predict": {"post": _operation(f"{what}, with TensorFlow Serving's protocol.", asked, given)},
        f"/v2/models/{name}": {"get": _operation(f"The inputs and outputs of {name}.", None)},
        f"/v2/models/{name}/infer": {"post": _operation(f"{what}, with the Open Inference Protocol.", inference)},
    }


def _operation(
    summary: str, asked: dict[str, Any] | None, given: dict[str, Any] | None = None, media: str = "application/json"
) -> dict[str, Any]:
    error = {"description": "What is wrong with the request.", "content": {"application/json": {}}}
    found: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "The answer.", "content": {media: {"schema": given} if given else {}}},
            "4XX": error,
        },
    }
    if asked is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": asked}}}
    return found


def _schema(spec: tf.TensorSpec) -> dict[str, Any]:
    """Returns the JSON schema of one row's value."""
    schema: dict[str, Any] = {"type": TYPES[spec.dtype]}
    for _ in spec.shape[1:]:
        schema = {"type": "array", "items": schema}
    return schema


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _embeddings() -> dict[str, Any]:
    asked = _object({"input": TEXTS, "model": {"type": "string"}})
    asked["properties"]["encoding_format"] = {"type": "string", "enum": ["float", "base64"]}
    asked["properties"]["dimensions"] = {"type": "integer", "minimum": 1}
    return asked


def _rerank() -> dict[str, Any]:
    document = {"oneOf": [{"type": "string"}, _object({"text": {"type": "string"}})]}
    asked = _object({"query": {"type": "string"}, "documents": {"type": "array", "items": document, "minItems": 1}})
    asked["properties"]["model"] = {"type": "string"}
    asked["properties"]["top_n"] = {"type": "integer", "minimum": 1}
    asked["properties"]["return_documents"] = {"type": "boolean"}
    return asked
