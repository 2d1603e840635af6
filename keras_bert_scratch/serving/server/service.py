"""Service: the interface that every protocol uses, rows in and outputs out."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping
from http import HTTPStatus

import numpy as np

from keras_bert_scratch.serving.server.batcher import Batcher, Pending
from keras_bert_scratch.serving.server.metrics import Metrics
from keras_bert_scratch.serving.server.model_store import ModelStore
from keras_bert_scratch.serving.server.request_error import RequestError, bad_request
from keras_bert_scratch.serving.server.rows import Arrays
from keras_bert_scratch.serving.server.served_model import ServedModel, Signature
from keras_bert_scratch.serving.signatures import SERVE_IDS


@dataclasses.dataclass(frozen=True)
class Service:
    """Answers requests, whatever the protocol.

    Args:
        store: ModelStore. The models.
        batcher: Batcher. Answers requests in batches.
        metrics: Metrics. The counters and histograms.
        timeout: float. Seconds after which an unanswered request fails, unless its client sets a shorter limit.
    """

    store: ModelStore
    batcher: Batcher
    metrics: Metrics
    timeout: float

    async def infer(
        self, model: ServedModel, signature: str, inputs: Arrays, timeout: float | None = None
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature for some rows.

        Args:
            model: ServedModel. Of the store.
            signature: str. One of its signatures.
            inputs: arrays of the signature's dtypes and ranks, by name.
            timeout: float or None, default None. Seconds that the client waits.

        Raises:
            RequestError: the inputs do not match the signature, too many rows are waiting, or it took too long.
        """
        check(model, signature, inputs)
        seconds = min(self.timeout, self.timeout if timeout is None else timeout)
        pending = Pending(model, signature, inputs, time.monotonic() + seconds)
        self.batcher.submit(pending)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(pending.answer), seconds)
        except TimeoutError:
            raise RequestError(HTTPStatus.GATEWAY_TIMEOUT, f"not answered within {seconds:g} s") from None


def signature_of(model: ServedModel, name: str) -> Signature:
    """Returns a signature by name.

    Raises:
        RequestError: the model has no such signature.
    """
    if name not in model.signatures:
        known = ", ".join(model.signatures)
        raise RequestError(HTTPStatus.NOT_FOUND, f"no signature is called {name!r}; signatures: {known}")
    return model.signatures[name]


def check_names(signature: Signature, given: Mapping[str, object]) -> None:
    """Raises `RequestError` unless exactly the signature's inputs are given."""
    if set(given) != set(signature.inputs):
        wanted, names = (", ".join(sorted(found)) or "nothing" for found in (signature.inputs, given))
        raise bad_request(f"the inputs must be {wanted}, not {names}")


def check(model: ServedModel, name: str, inputs: Arrays) -> None:
    """Raises `RequestError` unless arrays match a signature: names, ranks, dtypes, equal numbers of rows, lengths."""
    signature = signature_of(model, name)
    check_names(signature, inputs)
    for key, values in inputs.items():
        spec = signature.inputs[key]
        if values.ndim != spec.shape.rank:
            raise bad_request(f"{key}: has shape {list(values.shape)}, but must have {spec.shape.rank} dimensions")
        expected = object if spec.dtype == "string" else spec.dtype.as_numpy_dtype
        if values.dtype != expected:
            raise bad_request(f"{key}: has dtype {values.dtype}, but must have dtype {spec.dtype.name}")
    rows = {key: len(values) for key, values in inputs.items()}
    if len(set(rows.values())) > 1:
        raise bad_request(f"the inputs have different numbers of rows: {rows}")
    if not next(iter(rows.values())):
        raise bad_request("the request has no rows")
    if name == SERVE_IDS:
        shapes = {values.shape for values in inputs.values()}
        if len(shapes) > 1:
            raise bad_request(f"the inputs have different shapes: {sorted(shapes)}")
        ((*_, length),) = shapes
        if length > model.spec.max_length:
            raise bad_request(f"rows of {length} tokens are longer than the limit of {model.spec.max_length} tokens")
