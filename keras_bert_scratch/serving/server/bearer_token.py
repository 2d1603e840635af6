"""Authorization: only clients that send the server's bearer token are answered, over HTTP and gRPC."""

from __future__ import annotations

import hmac
from typing import Any

import grpc

from keras_bert_scratch.serving.server.http_bodies import json_response

PUBLIC_PATHS = {"/", "/healthz", "/v2/health/live", "/v2/health/ready"}  # paths that never need a token


class BearerToken:
    """ASGI middleware that refuses requests without the server's token.

    Args:
        app: callable. The application.
        token: str. What clients must send.
    """

    def __init__(self, app: Any, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            if not is_right(given, self._token):
                response = json_response({"error": "give the server's token as 'Authorization: Bearer ...'"}, 401)
                response.headers["WWW-Authenticate"] = "Bearer"
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def is_right(authorization: str, token: str) -> bool:
    """Whether a header carries the token; the comparison takes the same time wherever they differ."""
    kind, _, given = authorization.partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), token.encode())


class GrpcBearerToken(grpc.aio.ServerInterceptor):
    """The same for gRPC: clients send the token in the metadata `authorization`.

    Args:
        token: str. What clients must send.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        """Returns the handler of a call if its token is right, else a handler that refuses."""
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
