"""Batcher: answers waiting rows of the same padded length, from several requests, with one call of the model."""

from __future__ import annotations

import bisect
import concurrent.futures
import contextlib
import dataclasses
import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

import numpy as np

from keras_bert_scratch.serving.server.metrics import Metrics
from keras_bert_scratch.serving.server.request_error import RequestError, as_request_error, bad_request, stopping
from keras_bert_scratch.serving.server.rows import Arrays, joined, row_of
from keras_bert_scratch.serving.server.served_model import ServedModel

# Limit for all windows of a text together, if the task splits texts. Other texts are truncated to the model's length.
MOST_TOKENS = 16384
# Limit for all sequences that one row makes the model read, padding included: windows, choices, the pieces of a text
# that are scored one by one. A call cannot be interrupted, and while it runs, its worker answers nobody else.
MOST_POSITIONS = 4 * MOST_TOKENS


@dataclasses.dataclass(eq=False)
class Pending:
    """A request that waits for its answer.

    Args:
        model: ServedModel. The model to run.
        signature: str. The signature to run.
        inputs: arrays by name, at least one row.
        deadline: float. When the client stops waiting, by `time.monotonic`.
    """

    model: ServedModel
    signature: str
    inputs: Arrays
    deadline: float
    answer: concurrent.futures.Future = dataclasses.field(default_factory=concurrent.futures.Future)
    parts: dict[int, Arrays] = dataclasses.field(default_factory=dict)  # the answers to its rows, by row
    asked_at: float = dataclasses.field(default_factory=time.monotonic)

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def end(self, error: Exception | None = None) -> None:
        """Completes the request: with an error, or with the answers once all rows are answered."""
        with contextlib.suppress(concurrent.futures.InvalidStateError):  # already completed
            if error is not None:
                self.answer.set_exception(error)
            elif len(self.parts) == len(self):
                self.answer.set_result(joined([self.parts[number] for number in range(len(self))]))


@dataclasses.dataclass(eq=False)
class Row:
    """A row of a request; `tokens` is `None` until they are counted, and with them the sequences."""

    arrival: int
    request: Pending
    number: int
    tokens: int | None = None
    sequences: int = 1


class Batcher:
    """Worker threads that answer requests in batches.

    A free thread takes the oldest row, and with it waiting rows of the same model, signature and padded length, up to
    the token budget. It never waits for more rows to arrive. If a batch fails, its requests are run one by one, and
    only the faulty one gets the error.

    Args:
        workers: int. Concurrent calls of models.
        token_budget: int. Maximum tokens of a batch, over all its sequences, padding included; a single row may have
            more.
        most_waiting: int. Maximum number of waiting rows; further requests are told to retry later.
        metrics: Metrics. Records times and sizes.
    """

    def __init__(self, workers: int, token_budget: int, most_waiting: int, metrics: Metrics) -> None:
        self._token_budget, self._most_waiting, self._metrics = token_budget, most_waiting, metrics
        self._waiting: list[Row] = []
        self._arrivals = itertools.count()
        self._changed = threading.Condition()
        self._is_closed = False
        self._seconds_per_row = 0.01  # moving average
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()
        metrics.waiting.set_function(lambda: len(self._waiting))

    def submit(self, request: Pending) -> None:
        """Queues a request; its `answer` is set later.

        Raises:
            RequestError: it can never be answered, too many rows are waiting, or the server is stopping.
        """
        if len(request) > self._most_waiting:
            raise bad_request(
                f"{len(request)} rows exceed the limit of {self._most_waiting} waiting rows; send several requests"
            )
        with self._changed:
            if self._is_closed:
                raise stopping()
            if len(self._waiting) + len(request) > self._most_waiting:
                seconds = max(1, math.ceil(len(self._waiting) * self._seconds_per_row))
                text = f"{len(self._waiting)} rows are waiting already; retry in {seconds} s"
                raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, text, seconds)
            self._waiting += [Row(next(self._arrivals), request, number) for number in range(len(request))]
            self._changed.notify(len(request))

    def close(self, seconds: float) -> bool:
        """Answers the waiting requests for at most `seconds`, fails those that remain, and stops the threads.

        Returns: whether all threads have stopped; a call of a model cannot be interrupted.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            for row in self._waiting:
                row.request.end(stopping())
            self._waiting = []
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self) -> None:
        while candidates := self._candidates():
            try:
                self._serve(candidates)
            except Exception as error:  # a bug of ours; the thread continues
                for row in candidates:
                    row.request.end(as_request_error(error))

    def _serve(self, candidates: Sequence[Row]) -> None:
        """Answers as many of the rows as form one batch; the others return to the queue."""
        if len(candidates) > 1 or not candidates[0].request.model.has_single_sequences:
            self._count([row for row in candidates if row.tokens is None])
        batch = self._batch_of(candidates)
        self._requeue(set(candidates) - set(batch))
        start = time.monotonic()
        for row in batch:
            self._metrics.observe("queue", row.request.model, start - row.request.asked_at)
        self._answer(batch)
        if batch:
            self._seconds_per_row += 0.1 * ((time.monotonic() - start) / len(batch) - self._seconds_per_row)

    def _candidates(self) -> list[Row]:
        """Removes the oldest row and all that may share its batch from the queue; empty after closing, if none wait."""
        with self._changed:
            while True:
                self._drop_ended()
                if self._waiting:
                    break
                if self._is_closed:
                    return []
                self._changed.wait()
            first = self._waiting[0].request
            key = first.model, first.signature
            candidates = [row for row in self._waiting if (row.request.model, row.request.signature) == key]
            self._waiting = [row for row in self._waiting if (row.request.model, row.request.signature) != key]
            return candidates

    def _drop_ended(self) -> None:
        """Fails requests past their deadline; drops rows of requests that failed or whose client is gone."""
        now = time.monotonic()
        for row in self._waiting:
            if row.request.deadline < now:
                text = f"waited {now - row.request.asked_at:.1f} s, longer than its time limit"
                row.request.end(RequestError(HTTPStatus.GATEWAY_TIMEOUT, text))
        self._waiting = [row for row in self._waiting if not row.request.answer.done()]

    def _requeue(self, rows: set[Row]) -> None:
        with self._changed:
            self._waiting = sorted([*self._waiting, *rows], key=lambda row: row.arrival)
            self._changed.notify_all()

    def _count(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        request, model = rows[0].request, rows[0].request.model
        try:
            with self._metrics.timed("tokenize", model):
                tokens, sequences = model.sizes(request.signature, _inputs(rows))
        except Exception as error:
            _one_by_one(self._count, rows, error)
            return
        for row, row_tokens, row_sequences in zip(rows, tokens.tolist(), sequences.tolist(), strict=True):
            row.tokens, row.sequences, length = row_tokens, row_sequences, model.padded_length(row_tokens)
            if row.tokens > MOST_TOKENS:
                text = f"has {row.tokens} tokens, more than the limit of {MOST_TOKENS}; split the text"
            elif row.sequences * length > MOST_POSITIONS:
                text = (
                    f"makes the model read {row.sequences} sequences of {length} tokens, more than the limit of "
                    f"{MOST_POSITIONS} tokens in all; {model.task.too_costly}"
                )
            else:
                continue
            row.request.end(bad_request(f"row {row.number + 1} {text}"))

    def _batch_of(self, candidates: Sequence[Row]) -> list[Row]:
        """Returns the oldest row and others of the same padded length: another call costs less than more padding."""
        asking = [row for row in candidates if not row.request.answer.done()]
        if len(asking) < 2:
            return asking
        lengths = [row.request.model.padded_length(row.tokens) for row in asking]
        same = [row for row, length in zip(asking, lengths, strict=True) if length == lengths[0]]
        # A row with fewer choices than another one is padded to as many.
        most = itertools.accumulate((row.sequences for row in same), max)
        positions = [count * sequences * lengths[0] for count, sequences in enumerate(most, 1)]
        return same[: max(1, bisect.bisect(positions, self._token_budget))]

    def _answer(self, batch: Sequence[Row]) -> None:
        if not batch:
            return
        try:
            self._run(batch)
        except Exception as error:
            _one_by_one(self._answer, batch, error)

    def _run(self, batch: Sequence[Row]) -> None:
        model, inputs = batch[0].request.model, _inputs(batch)
        with self._metrics.timed("infer", model):
            outputs = model.run(batch[0].request.signature, inputs)
        self._metrics.count_rows(model, len(batch))
        tokens = [row.tokens for row in batch]  # `None` for a single row that was not counted
        if "token_count" in outputs:
            most = MOST_TOKENS if model.is_windowed else model.spec.max_length
            tokens = np.minimum(outputs["token_count"], most).tolist()
        if None not in tokens:
            sequences = len(batch) * max(row.sequences for row in batch)
            self._metrics.count_tokens(model, sum(tokens), sequences * model.padded_length(max(tokens)))
        for number, row in enumerate(batch):
            row.request.parts[row.number] = row_of(outputs, number)
        for rows in _by_request(batch):
            rows[0].request.end()


def _by_request(rows: Sequence[Row]) -> list[list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(id(row.request), []).append(row)
    return list(found.values())


def _one_by_one(do: Callable[[Sequence[Row]], None], rows: Sequence[Row], error: Exception) -> None:
    """Repeats for each request alone what failed for all rows together; a request that fails again gets the error."""
    requests = _by_request(rows)
    if len(requests) == 1:
        rows[0].request.end(as_request_error(error))
        return
    for rows_of_one in requests:
        do(rows_of_one)


def _inputs(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    return joined([row_of(row.request.inputs, row.number) for row in rows])
