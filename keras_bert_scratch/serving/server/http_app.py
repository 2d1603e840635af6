"""The HTTP application of the server: the routes of all protocols, health, metrics, the page, and authorization."""

from __future__ import annotations

from http import HTTPStatus
from importlib import resources
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from keras_bert_scratch.serving.server.bearer_token import BearerToken
from keras_bert_scratch.serving.server.http_bodies import json_response
from keras_bert_scratch.serving.server.open_inference import OpenInference
from keras_bert_scratch.serving.server.openai_api import OpenAiApi
from keras_bert_scratch.serving.server.openapi import openapi_document
from keras_bert_scratch.serving.server.service import Service
from keras_bert_scratch.serving.server.tensorflow_serving_rest import TensorFlowServingRest

# The page is self-contained: inline script and style, and requests to this server only.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def http_app(service: Service, most_bytes: int, token: str | None) -> Any:
    """Returns the ASGI application.

    Args:
        service: Service. Answers the requests.
        most_bytes: int. Maximum size of a request body.
        token: str or None. What clients must send as `Authorization: Bearer ...`.
    """

    async def page(request: Request) -> Response:
        html = resources.files("keras_bert_scratch.serving.server").joinpath("page.html").read_text("utf-8")
        return HTMLResponse(html, headers=PAGE_HEADERS)

    async def health(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def openapi(request: Request) -> Response:
        return json_response(openapi_document(service.store, token is not None))

    routes = [
        Route("/", page),
        Route("/healthz", health),
        Route("/metrics", metrics),
        Route("/monitoring/prometheus/metrics", metrics),
        Route("/openapi.json", openapi),
        *OpenAiApi(service).routes(),
        *OpenInference(service).routes(),
        *TensorFlowServingRest(service).routes(),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.state.most_bytes, app.state.timeout = most_bytes, service.timeout
    app.router.redirect_slashes = False
    return app if token is None else BearerToken(app, token)


async def _no_route(request: Request, error: Any) -> Response:
    phrase = HTTPStatus(error.status_code).phrase
    text = f"{request.method} {request.url.path}: {phrase}; /openapi.json lists all paths"
    return json_response({"error": text}, error.status_code)
