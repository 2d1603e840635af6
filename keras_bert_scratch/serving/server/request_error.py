"""RequestError: a request that cannot be answered, whatever the protocol."""

from __future__ import annotations

import logging
from http import HTTPStatus

import tensorflow as tf

log = logging.getLogger(__name__)

OUT_OF_TABLE = "gather index out of bounds"  # in LiteRT's error message


class RequestError(Exception):
    """A request that is not answered; the message says what the client can do.

    Args:
        status: HTTPStatus. Other protocols map it to their own codes.
        message: str. What is wrong.
        retry_after: int or None, default None. Seconds after which to retry.
    """

    def __init__(self, status: HTTPStatus, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after = status, retry_after


def bad_request(message: str) -> RequestError:
    """Returns the error of a request that can never be answered."""
    return RequestError(HTTPStatus.BAD_REQUEST, message)


def stopping() -> RequestError:
    """Returns the error of a request that the server no longer answers."""
    return RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping", 1)


def as_request_error(error: Exception) -> RequestError:
    """Turns a model's error into one for the client: what is wrong with the inputs, or that the model itself failed."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, tf.errors.InvalidArgumentError):
        return bad_request(_reason(error.message))
    if isinstance(error, tf.errors.UnknownError) and OUT_OF_TABLE in error.message:
        return bad_request("an id is out of the range of its embedding table")
    log.error("a model failed", exc_info=error)
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed; the server's log says why")


def _reason(message: str) -> str:
    """Extracts TensorFlow's reason: it comes before the node of the graph, and after where that node was created."""
    before, _, _ = message.partition("\n\t [[")
    return before.rstrip().splitlines()[-1].removeprefix("assertion failed: ")
