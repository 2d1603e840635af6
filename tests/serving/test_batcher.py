"""Rows that wait together are answered together, and each request gets its own answers."""

import contextlib
import threading
import time
import types
from http import HTTPStatus

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_scratch.serving.server import batcher as batching
from keras_bert_scratch.serving.server.batcher import Batcher, Pending
from keras_bert_scratch.serving.server.metrics import Metrics
from keras_bert_scratch.serving.server.request_error import RequestError

LABELS = {"model": "upper", "version": "1"}
COUNTED = ("rows_total", "batch_rows_count", "tokens_total", "positions_total")


class Model:
    """Answers with the text in capitals; a text has as many tokens as letters. It waits for `go`; "!" and "?" fail.

    With `has_single_sequences=False`, it reads each part of a text between commas, padded to the longest part.
    """

    label, spec, is_windowed = ("upper", "1"), types.SimpleNamespace(max_length=100), False
    task = types.SimpleNamespace(too_costly="whisper")

    def __init__(self, has_single_sequences=True):
        self.has_single_sequences = has_single_sequences
        self.go, self.calls, self.counted = threading.Event(), [], []

    def padded_length(self, tokens):
        return -(-tokens // 8) * 8

    def sizes(self, signature, inputs):
        self.counted.append(len(inputs["text"]))
        if b"?" in inputs["text"]:
            raise tf.errors.InvalidArgumentError(None, None, "it asks\n\t [[place]]")
        parts = [[text] if self.has_single_sequences else text.split(b",") for text in inputs["text"]]
        return np.array([max(map(len, some)) for some in parts]), np.array(list(map(len, parts)))

    def run(self, signature, inputs):
        assert self.go.wait(10)
        texts = inputs["text"].tolist()
        self.calls.append(texts)
        if b"!" in texts or b"?" in texts:
            raise tf.errors.InvalidArgumentError(None, None, "Graph execution error:\n\nit shouts\n\t [[place]]")
        counts = np.array([len(text) for text in texts])
        return {"upper": np.array([text.upper() for text in texts], object), "token_count": counts}


@contextlib.contextmanager
def started(workers=1, token_budget=64, most_waiting=100, **of_model):
    batcher, model = Batcher(workers, token_budget, most_waiting, Metrics()), Model(**of_model)
    yield batcher, model
    model.go.set()
    assert batcher.close(10)


def ask(batcher, model, *texts, seconds=10.0):
    request = Pending(model, "serving_default", {"text": np.array(texts, object)}, time.monotonic() + seconds)
    batcher.submit(request)
    return request.answer


def hold(batcher, model):
    """A first request that keeps the only worker busy, so that later requests wait."""
    first = ask(batcher, model, b"first")
    while batcher._waiting:
        time.sleep(0.001)
    return first


def upper(answer):
    return answer.result(10)["upper"].tolist()


def test_rows_that_wait_share_a_call_and_each_request_gets_its_own():
    with started() as (batcher, model):
        answers = [hold(batcher, model), *(ask(batcher, model, *texts) for texts in ([b"a"], [b"b", b"c"], [b"d"]))]
        model.go.set()
        assert [upper(answer) for answer in answers] == [[b"FIRST"], [b"A"], [b"B", b"C"], [b"D"]]
        assert model.calls == [[b"first"], [b"a", b"b", b"c", b"d"]]


def test_a_single_row_is_not_counted_first():
    with started() as (batcher, model):
        model.go.set()
        assert upper(ask(batcher, model, b"a")) == [b"A"]
        assert model.counted == []


def test_rows_that_are_padded_to_one_length_share_a_call_the_oldest_first():
    short, long = [b"aaaa", b"b" * 10, b"cc"], [b"d" * 60, b"e" * 64]
    with started(token_budget=1000) as (batcher, model):
        answers = [
            hold(batcher, model),
            *(ask(batcher, model, text) for pair in zip(long, short[:2], strict=True) for text in pair),
        ]
        answers.append(ask(batcher, model, short[2]))
        model.go.set()
        for answer in answers:
            answer.result(10)
        assert model.calls[1:] == [long, [short[0], short[2]], [short[1]]]


def test_a_batch_holds_no_more_than_the_budget():
    with started(token_budget=64) as (batcher, model):
        answers = [hold(batcher, model), ask(batcher, model, *[b"a" * 16] * 10)]
        model.go.set()
        for answer in answers:
            answer.result(10)
        assert list(map(len, model.calls[1:])) == [4, 4, 2]


def test_the_budget_counts_all_sequences_of_a_row_padded_to_the_most():
    """A batch of choices is padded to as many choices as any of its rows has."""
    with started(token_budget=64, has_single_sequences=False) as (batcher, model):
        texts = [b"a,a", b"b,b", b"c,c,c,c", b"d", b"e", b"f" + 20 * b",f", b"g"]
        answers = [hold(batcher, model), *(ask(batcher, model, text) for text in texts)]
        model.go.set()
        for answer in answers:
            answer.result(10)
        assert model.calls[1:] == [texts[:2], texts[2:4], texts[4:5], texts[5:6], texts[6:]]


def test_only_the_request_that_is_wrong_fails():
    with started() as (batcher, model):
        answers = [hold(batcher, model), *(ask(batcher, model, text) for text in (b"a", b"!", b"b", b"?"))]
        model.go.set()
        assert upper(answers[1]) == [b"A"]
        assert upper(answers[3]) == [b"B"]
        for answer in (answers[2], answers[4]):
            with pytest.raises(RequestError, match=r"^(it shouts|it asks)$") as error:
                answer.result(10)
            assert error.value.status == HTTPStatus.BAD_REQUEST


def test_a_fault_of_the_model_is_no_fault_of_the_client():
    with started() as (batcher, model):
        model.run = lambda *_: 1 / 0
        with pytest.raises(RequestError, match="the model failed") as error:
            ask(batcher, model, b"a").result(10)
        assert error.value.status == HTTPStatus.INTERNAL_SERVER_ERROR


def test_who_comes_when_too_many_wait_is_told_when_to_come_again():
    with started(most_waiting=3) as (batcher, model):
        hold(batcher, model)
        ask(batcher, model, b"a", b"b")
        with pytest.raises(RequestError, match="2 rows are waiting already; retry in 1 s") as error:
            ask(batcher, model, b"c", b"d")
        assert (error.value.status, error.value.retry_after) == (HTTPStatus.TOO_MANY_REQUESTS, 1)
        assert not ask(batcher, model, b"c").done()
        with pytest.raises(RequestError, match="4 rows exceed the limit of 3") as error:
            ask(batcher, model, *[b"c"] * 4)
        assert error.value.status == HTTPStatus.BAD_REQUEST


def test_what_is_too_late_or_given_up_is_not_answered():
    with started() as (batcher, model):
        hold(batcher, model)
        late, given_up = ask(batcher, model, b"late", seconds=0.01), ask(batcher, model, b"given up")
        kept = ask(batcher, model, b"kept")
        given_up.cancel()
        time.sleep(0.02)
        model.go.set()
        assert upper(kept) == [b"KEPT"]
        with pytest.raises(RequestError, match="longer than its time limit") as error:
            late.result(10)
        assert error.value.status == HTTPStatus.GATEWAY_TIMEOUT
        assert model.calls == [[b"first"], [b"kept"]]


def test_a_text_without_bounds_is_bounded(monkeypatch):
    monkeypatch.setattr(batching, "MOST_TOKENS", 50)
    with started(has_single_sequences=False) as (batcher, model):
        model.go.set()
        with pytest.raises(RequestError, match="row 2 has 300 tokens, more than the limit of 50"):
            ask(batcher, model, b"a", b"b" * 300).result(10)


TOO_COSTLY = {
    "long": (b"b" * 51, "row 1 has 51 tokens, more than the limit of 50; split the text"),
    "many": (
        b"b" + b",b" * 50,
        "row 1 makes the model read 51 sequences of 8 tokens, more than the limit of 400 tokens in all; whisper",
    ),
}


@pytest.mark.parametrize("name", TOO_COSTLY)
def test_what_costs_too_much_is_refused_whether_others_wait_or_not(monkeypatch, name):
    monkeypatch.setattr(batching, "MOST_TOKENS", 50)
    monkeypatch.setattr(batching, "MOST_POSITIONS", 400)
    text, message = TOO_COSTLY[name]
    with started(has_single_sequences=False) as (batcher, model):
        model.go.set()
        with pytest.raises(RequestError, match=message) as error:
            ask(batcher, model, text).result(10)
        assert error.value.status == HTTPStatus.BAD_REQUEST
        assert model.calls == []


def test_rows_are_counted_also_where_outputs_have_no_tokens():
    """Those of `classify` and `regress`: their tokens are known if several rows waited."""
    with started() as (batcher, model):
        run = model.run
        model.run = lambda *asked: {"upper": run(*asked)["upper"]}
        answers = [hold(batcher, model), ask(batcher, model, b"aa", b"b")]
        model.go.set()
        for answer in answers:
            answer.result(10)
        counted = {name: batcher._metrics.registry.get_sample_value(f"keras_bert_{name}", LABELS) for name in COUNTED}
        assert counted == {"rows_total": 3, "batch_rows_count": 2, "tokens_total": 3, "positions_total": 16}


def test_signatures_and_models_are_not_mixed():
    with started() as (batcher, model):
        other = Model()
        other.go.set()
        answers = [
            hold(batcher, model),
            ask(batcher, model, b"a"),
            ask(batcher, other, b"b"),
            ask(batcher, model, b"c"),
        ]
        model.go.set()
        assert [upper(answer) for answer in answers] == [[b"FIRST"], [b"A"], [b"B"], [b"C"]]
        assert model.calls == [[b"first"], [b"a", b"c"]]


def test_what_waits_is_answered_before_the_end():
    with started(workers=3) as (batcher, model):
        answers = [ask(batcher, model, b"%d" % number, b"x" * number) for number in range(1, 40)]
        model.go.set()
        assert batcher.close(10)
        assert [upper(answer) for answer in answers] == [[b"%d" % n, b"X" * n] for n in range(1, 40)]
        with pytest.raises(RequestError, match="stopping") as error:
            ask(batcher, model, b"a")
        assert error.value.status == HTTPStatus.SERVICE_UNAVAILABLE


def test_the_end_does_not_wait_for_a_call_that_does_not_end():
    with started() as (batcher, model):
        running, waiting = hold(batcher, model), ask(batcher, model, b"a")
        assert not batcher.close(0.05)
        assert not running.done()
        with pytest.raises(RequestError, match="stopping"):
            waiting.result(0)
