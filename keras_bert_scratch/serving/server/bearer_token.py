"""Who may ask: clients that bring the server's token, over HTTP and gRPC."""

from __future__ import annotations

import hmac
from typing import Any

import grpc

from keras_bert_scratch.serving.server.http_bodies import json_response

OPEN_TO_ALL = {"/", "/healthz", "/v2/health/live", "/v2/health/ready"}  # also where a token is wanted


class BearerToken:
    """An ASGI application for those who bring a token.

    Args:
        app: callable. The application.
        token: str. What they must bring.
    """

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_TO_ALL:
            given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            if not is_right(given, self._token):
                response = json_response({"error": "give the server's token as 'Authorization: Bearer ...'"}, 401)
                response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_right(authorization: str, token: str) -> bool:
    """Whether a header brings the token, found out in a time that does not depend on where it differs."""
    kind, _, given = authorization.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class GrpcBearerToken(grpc.aio.ServerInterceptor):
    """The same for gRPC, whose clients bring it in the metadata `authorization`.

    Args:
        token: str. What they must bring.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """What answers a call: what would without a token, or a refusal."""
        given = dict(details.invocation_metadata or ()).get("authorization", "")
        return (
            await continuation(details)
            if is_right(str(given), self._token)
            else grpc.unary_unary_rpc_method_handler(_refuse)
        )


async def _refuse(request: Any, context: Any) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "give the server's token as metadata 'authorization: Bearer ...'"
    )
