"""The APIs of embedding services: OpenAI's `/v1/embeddings` and `/v1/models`, and `/rerank`.

Specifications: https://platform.openai.com/docs/api-reference/embeddings, https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.routing import Route

from keras_bert_scratch.serving.server.http_bodies import as_endpoint, body_of
from keras_bert_scratch.serving.server.request_error import RequestError, bad_request
from keras_bert_scratch.serving.server.served_model import ServedModel
from keras_bert_scratch.serving.server.service import Service
from keras_bert_scratch.serving.server.tensor_json import array_of, parsed_object
from keras_bert_scratch.serving.signatures import SIGNATURE

PROTOCOL = "openai"
EMBEDDING = "embedding"


class OpenAiApi:
    """The routes of these APIs.

    Args:
        service: Service. Answers the requests.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """Returns all routes."""
        return [
            self._route("/v1/embeddings", self.embeddings, "POST"),
            self._route("/v1/models", self.models, "GET"),
            self._route("/rerank", self.rerank, "POST"),
            self._route("/v1/rerank", self.rerank, "POST"),
        ]

    def _route(self, path: str, handler: Any, method: str) -> Route:
        return Route(path, as_endpoint(handler, PROTOCOL, self._service.metrics, _error), methods=[method])

    async def models(self, request: Request) -> dict[str, Any]:
        """The models, each with its task, its columns, its labels and its signatures."""
        found = [(name, self._service.store.find(name)) for name in self._service.store.names]
        return {
            "object": "list",
            "data": [
                {
                    "id": name,
                    "object": "model",
                    "created": 0,
                    "owned_by": "keras-bert",
                    "version": number,
                    "task": model.spec.task,
                    "columns": list(model.spec.columns),
                    "labels": list(model.spec.labels),
                    "signatures": list(model.signatures),
                }
                for name, (number, model) in found
            ],
        }

    async def embeddings(self, request: Request) -> dict[str, Any]:
        """The embeddings of some texts."""
        asked = parsed_object(await body_of(request))
        name, model = self._model(asked, _embeds, "embeds texts, with one vector for each")
        texts = [asked["input"]] if isinstance(asked.get("input"), str) else asked.get("input")
        texts = _texts("input", texts)
        form, dimensions = asked.get("encoding_format", "float"), asked.get("dimensions")
        if form not in ("float", "base64"):
            raise bad_request(f"encoding_format: must be float or base64, not {form!r}")
        width = model.signatures[SIGNATURE].outputs[EMBEDDING].shape[-1]
        if dimensions is not None and not (type(dimensions) is int and 1 <= dimensions <= width):
            raise bad_request(f"dimensions: must be from 1 to {width}, not {dimensions!r}")
        outputs = await self._ask(model, {model.spec.columns[0]: texts})
        vectors = outputs[EMBEDDING]
        if dimensions is not None:
            vectors = vectors[:, :dimensions]
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        rows = [np.ascontiguousarray(vector, "<f4") for vector in vectors]
        written = rows if form == "float" else [base64.b64encode(row.tobytes()).decode() for row in rows]
        return {
            "object": "list",
            "data": [{"object": EMBEDDING, "index": number, EMBEDDING: row} for number, row in enumerate(written)],
            "model": name,
            "usage": _usage(model, outputs),
        }

    async def rerank(self, request: Request) -> dict[str, Any]:
        """Documents by their relevance to a query, the most relevant first.

        A model of text pairs reads query and document together; the relevance is its score, or the score of its last
        label. An embedding model reads each text alone; the relevance is the cosine.
        """
        asked = parsed_object(await body_of(request))
        name, model = self._model(asked, _ranks, "compares two texts")
        (query,) = _texts("query", [asked.get("query")])
        given = asked.get("documents")
        if isinstance(given, list):
            given = [one.get("text") if isinstance(one, dict) else one for one in given]
        documents = _texts("documents", given)
        top = asked.get("top_n", len(documents))
        if type(top) is not int or top < 1:
            raise bad_request(f"top_n: must be a number from 1, not {top!r}")
        if _embeds(model):
            outputs = await self._ask(model, {model.spec.columns[0]: [query, *documents]})
            vectors = outputs[EMBEDDING]
            lengths = np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)
            scores = vectors[1:] @ vectors[0] / (lengths[1:] * lengths[0])
        else:
            first, second = model.spec.columns
            outputs = await self._ask(model, {first: [query] * len(documents), second: documents})
            scores = outputs["score"] if "score" in outputs else outputs["scores"][:, -1]
        order = np.argsort(-scores, kind="stable")[:top]
        results: list[dict[str, Any]] = [{"index": int(at), "relevance_score": scores[at]} for at in order]
        if asked.get("return_documents"):
            results = [{**result, "document": {"text": documents[result["index"]]}} for result in results]
        return {"model": name, "results": results, "usage": _usage(model, outputs)}

    def _model(self, asked: Mapping[str, Any], fits: Any, what: str) -> tuple[str, ServedModel]:
        """Returns the named model, or, without a name, the only one that supports the request."""
        store, name = self._service.store, asked.get("model")
        able = [known for known in store.names if fits(store.find(known)[1])]
        if name is None and len(able) == 1:
            name = able[0]
        if not isinstance(name, str):
            raise bad_request(f"model: must name a model that {what}: {', '.join(able) or 'there is none'}")
        _, model = store.find(name)
        if not fits(model):
            raise bad_request(f"model: {name!r} is not a model that {what}; such models: {', '.join(able) or 'none'}")
        return name, model

    async def _ask(self, model: ServedModel, columns: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
        specs = model.signatures[SIGNATURE].inputs
        inputs = {name: array_of(name, list(values), specs[name]) for name, values in columns.items()}
        return await self._service.infer(model, SIGNATURE, inputs)


def _embeds(model: ServedModel) -> bool:
    """Whether it returns one vector for each text; a model of several layers returns one for each layer."""
    found = model.signatures[SIGNATURE].outputs.get(EMBEDDING)
    return found is not None and found.shape.rank == 2


def _ranks(model: ServedModel) -> bool:
    signature, columns = model.signatures[SIGNATURE], model.spec.columns
    is_of_pairs = len(columns) == 2 and set(signature.inputs) == set(columns)
    return _embeds(model) or (
        is_of_pairs and model.spec.task in ("classification", "pair-classification", "regression")
    )


def _texts(name: str, given: Any) -> list[str]:
    if not isinstance(given, list) or not given or not all(isinstance(text, str) for text in given):
        raise bad_request(f"{name}: must be text, at least one string; tokens are not accepted")
    return given


def _usage(model: ServedModel, outputs: Mapping[str, np.ndarray]) -> dict[str, int]:
    tokens = int(np.minimum(outputs["token_count"], model.spec.max_length).sum())
    return {"prompt_tokens": tokens, "total_tokens": tokens}


def _error(error: RequestError) -> dict[str, Any]:
    kind = "server_error" if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": None}}
