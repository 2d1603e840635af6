"""HTTP request and response bodies: reading with limits on size and time, and errors in the form of each protocol."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from keras_bert_scratch.serving.server.metrics import Metrics
from keras_bert_scratch.serving.server.request_error import RequestError, bad_request, stopping
from keras_bert_scratch.serving.server.tensor_json import as_json

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Any]]  # returns the response, to be written as JSON
Form = Callable[[RequestError], Any]  # formats an error for the protocol


def error_text(error: RequestError) -> dict[str, str]:
    """Formats an error for TensorFlow Serving's REST protocol and the Open Inference Protocol."""
    return {"error": str(error)}


def json_response(value: Any, status: int = 200, retry_after: int | None = None) -> Response:
    """Returns a JSON response."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Response(as_json(value), status, headers, "application/json")


def as_endpoint(handler: Handler, protocol: str, metrics: Metrics, form: Form = error_text) -> Handler:
    """Turns a protocol's handler into the endpoint of a route, which counts requests and also answers errors."""

    async def endpoint(request: Request) -> Response:
        start = time.monotonic()
        try:
            response = json_response(await handler(request))
        except RequestError as error:
            response = json_response(form(error), error.status, error.retry_after)
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            metrics.unanswered += 1
            error = stopping()
            response = json_response(form(error), error.status, error.retry_after)
        except ClientDisconnect:
            response = Response(status_code=499)  # the client is gone
        except Exception:
            log.exception("%s failed", request.url.path)
            error = RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; its log says why")
            response = json_response(form(error), error.status)
        metrics.count_request(protocol, str(response.status_code), time.monotonic() - start)
        return response

    return endpoint


def version_of(request: Request) -> int | None:
    """Returns the version that a path names, if any.

    Raises:
        RequestError: it is not a number.
    """
    version = request.path_params.get("version")
    if version is None:
        return None
    if not (version.isascii() and version.isdecimal() and len(version) < 19):
        raise bad_request(f"the version must be a number, not {version!r}")
    return int(version)


async def body_of(request: Request) -> bytes:
    """Reads a request's body.

    Raises:
        RequestError: it is larger than `request.app.state.most_bytes`, or takes longer than `request.app.state.timeout`
            to arrive.
    """
    state = request.app.state
    try:
        async with asyncio.timeout(state.timeout):
            return await _read(request, state.most_bytes)
    except TimeoutError:
        raise RequestError(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {state.timeout:g} s") from None


async def _read(request: Request, most: int) -> bytes:
    declared = request.headers.get("content-length", "")
    too_large = RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than {most} bytes; send several requests"
    )
    if declared.isdecimal() and int(declared) > most:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise too_large
        parts.append(part)
    return b"".join(parts)
