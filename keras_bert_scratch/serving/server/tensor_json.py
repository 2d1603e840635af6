"""Arrays as JSON: nested lists, strings, and `{"b64": ...}` for bytes that are not text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import tensorflow as tf

from keras_bert_scratch.serving.server.request_error import bad_request

BASE64 = "b64"


def parsed_object(body: bytes) -> dict[str, Any]:
    """Parses JSON, which must be an object.

    Raises:
        RequestError: it is not an object, or not JSON.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise bad_request("the body must be a JSON object")
    return found


def as_json(value: Any) -> bytes:
    """Writes lists, objects and NumPy values as JSON; float32 in the fewest exact digits, NaN and infinity as null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def array_of(name: str, value: Any, spec: tf.TensorSpec) -> np.ndarray:
    """Returns an input's array.

    Args:
        name: str. The input, for messages.
        value: nested lists; all lists of a level have the same length.
        spec: the input's spec in the signature.

    Raises:
        RequestError: the value does not match the spec.

    Example:
        >>> array_of("text", ["a", {"b64": "Yg=="}], tf.TensorSpec([None], tf.string))
        array([b'a', b'b'], dtype=object)
    """
    rank = spec.shape.rank
    shape, level = [], value
    for depth in range(rank):
        if not isinstance(level, list):
            raise bad_request(f"{name}: has {depth} dimensions, but must have {rank}")
        shape.append(len(level))
        level = level[0] if level else []
        if not shape[-1]:
            shape += [0] * (rank - depth - 1)
            break
    leaf = _text if spec.dtype == tf.string else _whole_number
    flat = [leaf(name, item) for item in _leaves(name, value, shape)]
    array = np.empty(len(flat), object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    array[:] = flat
    return array.reshape(shape)


def _leaves(name: str, value: Any, shape: list[int]) -> Iterator[Any]:
    if not shape:
        yield value
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        raise bad_request(f"{name}: its lists differ in length or depth; pad them")
    for item in value:
        yield from _leaves(name, item, shape[1:])


def _text(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, dict) and set(value) == {BASE64} and isinstance(value[BASE64], str):
        try:
            return base64.b64decode(value[BASE64], validate=True)
        except (binascii.Error, ValueError):
            raise bad_request(f"{name}: has a {BASE64} that is not valid base64") from None
    raise bad_request(f"{name}: must hold strings, not {_kind(value)}")


def _whole_number(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_request(f"{name}: must hold whole numbers, not {_kind(value)}")
    if not -(2**31) <= value < 2**31:
        raise bad_request(f"{name}: {value} is too large for int32")
    return value


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", type(None): "null", bool: "a boolean", str: "a string"}
    return kinds.get(type(value), "a number")


def readable(array: np.ndarray) -> Any:
    """Converts an output for `as_json`: strings become lists, those that are not UTF-8 become `{"b64": ...}`."""
    return _readable(array.tolist()) if array.dtype == object else array


def _readable(value: Any) -> Any:
    if isinstance(value, list):
        return [_readable(item) for item in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {BASE64: base64.b64encode(value).decode()}
