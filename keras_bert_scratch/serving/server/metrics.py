"""Metrics: what the server reports to Prometheus."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters and histograms of one server, in a separate registry.

    `tokens / positions` is how full the batches are: positions are tokens plus padding. `unanswered` is the number of
    requests that were cancelled, by their clients or because the server stops.
    """

    def __init__(self) -> None:
        self.unanswered = 0
        self.registry = CollectorRegistry()
        one = {"registry": self.registry}
        of_model = {"labelnames": ("model", "version"), **one}
        self._seconds = {
            "queue": Histogram("keras_bert_queue_seconds", "Waiting time of a row", buckets=SECONDS, **of_model),
            "tokenize": Histogram("keras_bert_tokenize_seconds", "Time to count tokens", buckets=SECONDS, **of_model),
            "infer": Histogram("keras_bert_infer_seconds", "Duration of a model call", buckets=SECONDS, **of_model),
        }
        self._batch_rows = Histogram("keras_bert_batch_rows", "Rows per model call", buckets=ROWS, **of_model)
        self._rows = Counter("keras_bert_rows", "Rows answered", **of_model)
        self._tokens = Counter("keras_bert_tokens", "Tokens read", **of_model)
        self._positions = Counter("keras_bert_positions", "Positions computed, tokens and padding", **of_model)
        self.waiting = Gauge("keras_bert_waiting_rows", "Rows waiting", **one)
        self._requests = Counter("keras_bert_requests", "Requests", ("protocol", "status"), **one)
        self._request_seconds = Histogram(
            "keras_bert_request_seconds", "Time from a request to its response", ("protocol",), buckets=SECONDS, **one
        )

    def count_request(self, protocol: str, status: str, seconds: float) -> None:
        """Counts an answered request, successful or not."""
        self._requests.labels(protocol, status).inc()
        self._request_seconds.labels(protocol).observe(seconds)

    def count_rows(self, model: Any, rows: int) -> None:
        """Counts a call of a ServedModel."""
        self._rows.labels(*model.label).inc(rows)
        self._batch_rows.labels(*model.label).observe(rows)

    def count_tokens(self, model: Any, tokens: int, positions: int) -> None:
        """Counts what a call read, if it is known."""
        self._tokens.labels(*model.label).inc(tokens)
        self._positions.labels(*model.label).inc(positions)

    def observe(self, what: str, model: Any, seconds: float) -> None:
        """Records a duration of a ServedModel; `what` is `queue`, `tokenize` or `infer`."""
        self._seconds[what].labels(*model.label).observe(seconds)

    @contextlib.contextmanager
    def timed(self, what: str, model: Any) -> Iterator[None]:
        """Records the duration of its body, unless it raises."""
        start = time.monotonic()
        yield
        self.observe(what, model, time.monotonic() - start)

    def text(self) -> bytes:
        """Returns all metrics in Prometheus's format."""
        return generate_latest(self.registry)
