"""What a client is told that asked for what cannot be answered, in any protocol."""

from __future__ import annotations

import logging
from http import HTTPStatus

import tensorflow as tf

log = logging.getLogger(__name__)

OUT_OF_TABLE = "gather index out of bounds"  # LiteRT's words


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


def as_request_error(error: Exception) -> RequestError:
    """What a client is told of an error that a model raised: what is wrong with the inputs, or that it is not them."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, tf.errors.InvalidArgumentError):
        return bad_request(_reason(error.message))
    if isinstance(error, tf.errors.UnknownError) and OUT_OF_TABLE in error.message:
        return bad_request("an id is outside of its table")
    log.error("a model failed", exc_info=error)
    return RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the model failed; the server's log says why")


def _reason(message: str) -> str:
    """TensorFlow's reason, which stands before the place in the graph and behind where that was made."""
    before, _, _ = message.partition("\n\t [[")
    return before.rstrip().splitlines()[-1].removeprefix("assertion failed: ")
