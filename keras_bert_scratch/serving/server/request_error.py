"""What a client is told that asked for what cannot be answered, in any protocol."""

from __future__ import annotations

from http import HTTPStatus


class RequestError(Exception):
    """A request that is not answered; the message says what the client can do.

    Args:
        status: HTTPStatus. Other protocols have their own word for each.
        message: str. What is wrong.
        retry_after: int or None, default None. Seconds after which to ask again.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def bad_request(message: str) -> RequestError:
    """The error of a request that can never be answered."""
    return RequestError(HTTPStatus.BAD_REQUEST, message)
