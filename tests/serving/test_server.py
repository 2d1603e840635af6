"""The server as a whole: who may use it, its limits, what it reports, new versions, and how it stops."""

import contextlib
import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import grpc
import numpy as np
import pytest
import tensorflow as tf
from openapi_spec_validator import validate
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from serving.served import running
from tensorflow_serving.apis import get_model_status_pb2, predict_pb2

import keras_bert_scratch as kbs
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.server import server as server_module
from keras_bert_scratch.serving.server.served_model import ServedModel
from keras_bert_scratch.serving.server.server import ServerOptions, Stopped

PREDICT = "/v1/models/classification:predict"
TEXTS = ["The heron sleeps.", "北京 ½ ß", "", "An otter crosses the river before dawn. " * 5]


@pytest.fixture(scope="module")
def folder(served_models):
    _, path = served_models["classification"]
    return path


@pytest.fixture(scope="module")
def limited(folder):
    """A server that requires a token and has low limits."""
    options = {"token": "secret", "most_megabytes": 0.01, "most_waiting": 4, "timeout": 2.0, "workers": 1}
    with running({"classification": folder}, warm_up=False, engine="litert", **options) as address:
        yield address


WITH_TOKEN = {"headers": {"Authorization": "Bearer secret"}}


def test_without_the_token_nothing_is_told(limited):
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}, {"Authorization": "Basic ü"}):
        headers = {key: value.encode() for key, value in headers.items()}
        for path in (PREDICT, "/metrics", "/openapi.json", "/v1/models", "/v1/models/classification"):
            response = (
                limited.post(path, {}, headers=headers) if path == PREDICT else limited.get(path, headers=headers)
            )
            assert response.status_code == 401, path
            assert "give the server's token" in response.json()["error"]
    assert limited.post(PREDICT, {"instances": ["a"]}, **WITH_TOKEN).status_code == 200
    for path in ("/healthz", "/", "/v2/health/ready"):
        assert limited.get(path).status_code == 200
    request = get_model_status_pb2.GetModelStatusRequest(model_spec={"name": "classification"})
    with limited.stubs() as (_, models):
        with pytest.raises(grpc.RpcError) as error:
            models.GetModelStatus(request)
        assert error.value.code() == grpc.StatusCode.UNAUTHENTICATED
        metadata = (("authorization", "Bearer secret"),)
        assert models.GetModelStatus(request, metadata=metadata).model_version_status[0].version == 1


def test_a_body_that_is_too_large_is_refused_before_it_is_read(limited):
    body = b'{"instances": ["' + b"a" * 20_000 + b'"]}'
    for data in (body, iter([body[:8000], body[8000:]])):  # the second has no Content-Length
        response = limited.post(PREDICT, data=data, **WITH_TOKEN)
        assert (response.status_code, "larger than 10485 bytes" in response.json()["error"]) == (413, True)
    with socket.create_connection(urlsplit(limited.http).netloc.split(":")) as client:
        head = (
            f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: {100 << 20}\r\n\r\n"
        )
        client.sendall(head.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_come_is_given_up(limited):
    with socket.create_connection(urlsplit(limited.http).netloc.split(":")) as client:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 100\r\n\r\n{{"
        client.sendall(head.encode())
        started = time.monotonic()
        assert client.recv(100).startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started > 1.9


def test_who_comes_when_too_many_wait_comes_again(limited):
    """More requests than the queue holds: each is answered, or told when to retry; none is lost."""

    def ask(number):
        return limited.post(PREDICT, {"instances": [f"{number}"] * 2}, **WITH_TOKEN)

    with ThreadPoolExecutor(16) as clients:
        responses = list(clients.map(ask, range(64)))
    refused = [response for response in responses if response.status_code == 429]
    assert {response.status_code for response in responses} == {200, 429}
    assert all(int(response.headers["Retry-After"]) >= 1 for response in refused)
    response = limited.post(PREDICT, {"instances": ["a"] * 5}, **WITH_TOKEN)
    assert (response.status_code, "5 rows exceed the limit of 4" in response.json()["error"]) == (400, True)


def test_openapi_is_valid_and_names_what_there_is(server, limited):
    document = server.get("/openapi.json").json()
    validate(document)
    row = document["paths"]["/v1/models/pairs:predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(row["properties"]["instances"]["items"]["properties"]) == {"text", "text_pair"}
    assert "/v2/models/ner/infer" in document["paths"]
    assert "security" not in document
    validate(guarded := limited.get("/openapi.json", **WITH_TOKEN).json())
    assert guarded["security"] == [{"token": []}]


def test_metrics_count_rows_tokens_and_padding(server):
    def counted():
        families = text_string_to_metric_families(server.get("/metrics").text)
        samples = (sample for family in families for sample in family.samples)
        return {sample.name: sample.value for sample in samples if sample.labels.get("model", "embed") == "embed"}

    server.post("/v1/embeddings", {"input": "a", "model": "embed"})
    before = counted()
    server.post("/v1/embeddings", {"input": ["a", "a b c"], "model": "embed"})
    after = counted()
    difference = {name: after[name] - before.get(name, 0) for name in after}
    assert difference["keras_bert_rows_total"] == 2
    assert difference["keras_bert_tokens_total"] == 3 + 5
    assert difference["keras_bert_positions_total"] == 16
    for name in ("queue", "tokenize", "infer"):
        assert difference[f"keras_bert_{name}_seconds_count"] == {"queue": 2}.get(name, 1)
    assert server.get("/monitoring/prometheus/metrics").status_code == 200


def test_what_is_not_there_is_said_in_json(server):
    for method, path, status in (("GET", "/nothing", 404), ("POST", "/healthz", 405), ("GET", "/v1/models/", 404)):
        response = server.post(path, {}) if method == "POST" else server.get(path)
        assert (response.status_code, set(response.json())) == (status, {"error"})


@pytest.mark.parametrize(
    ("engine", "tolerance"), [("litert", 1e-5), pytest.param("litert-int8", 0.5, marks=pytest.mark.slow)]
)
def test_litert_answers_what_tensorflow_does(server, folder, engine, tolerance):
    expected = server.post(PREDICT, {"instances": TEXTS}).json()["predictions"]
    with running({"classification": folder}, engine=engine) as other:
        found = other.post(PREDICT, {"instances": TEXTS}).json()["predictions"]
    for one, row in zip(found, expected, strict=True):
        assert one["token_count"] == row["token_count"]
        np.testing.assert_allclose(one["scores"], row["scores"], atol=tolerance)


def test_a_new_version_takes_over_and_no_answer_is_lost_or_mixed(served_models, tmp_path):
    """Clients send requests all the time while version 2 is copied in parts, and while version 1 is unloaded."""
    tuned, folder = served_models["classification"]
    shutil.copytree(folder, tmp_path / "m")
    weights = [weight * 0 for weight in tuned.model.get_weights()]
    other = kbs.FineTuned(
        kbs.BertTextClassifier(kbs.BertBackbone(tuned.model.backbone.config), 3), tuned.tokenizer, tuned.spec
    )
    other.model.set_weights(weights)
    kbs.export_saved_model(other, tmp_path / "new", warm_up=False, variants=["litert"])
    stop, answers = threading.Event(), []

    def ask():
        while not stop.is_set():
            response = address.post("/v1/models/m:predict", {"instances": TEXTS[:2]})
            answers.append((response.status_code, [tuple(row["scores"]) for row in response.json()["predictions"]]))

    with running({"m": tmp_path / "m"}, warm_up=False, engine="litert", poll_seconds=0.1) as address:
        clients = [threading.Thread(target=ask) for _ in range(4)]
        for client in clients:
            client.start()
        shutil.copytree(tmp_path / "new", tmp_path / "m/2", ignore=shutil.ignore_patterns("saved_model.pb"))
        time.sleep(0.3)
        shutil.copy(tmp_path / "new/saved_model.pb", tmp_path / "m/2")
        deadline = time.monotonic() + 30
        while address.get("/v1/models/m/versions/2").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        stop.set()
        for client in clients:
            client.join()
        assert address.get("/v1/models/m/versions/1").status_code == 404
        last = address.post("/v1/models/m:predict", {"instances": TEXTS[:2]}).json()["predictions"]
    assert {status for status, _ in answers} == {200}
    # On a busy machine, the last answer that a client received may still be one of version 1.
    old, new = answers[0][1], [tuple(row["scores"]) for row in last]
    np.testing.assert_allclose(new, 1 / 3, atol=1e-6)
    for _, scores in answers:
        assert np.allclose(scores, old, atol=1e-5) or np.allclose(scores, new, atol=1e-5)


def test_requests_are_traced_where_somebody_wants_it(folder, monkeypatch):
    exporter = InMemorySpanExporter()
    monkeypatch.setattr("opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter", lambda: exporter)
    with running({"m": folder}, warm_up=False, engine="litert", telemetry=True) as address:
        address.post("/v1/models/m:predict", {"instances": TEXTS})
        address.get("/nothing")
    found = [(span.name, span.attributes["http.status_code"]) for span in exporter.get_finished_spans()]
    assert found == [("POST /v1/models/m:predict", 200), ("GET /nothing", 404)]


def test_what_was_asked_before_the_end_is_answered(folder):
    with running({"m": folder}, warm_up=False, engine="litert") as address, ThreadPoolExecutor(1) as client:
        body = {"instances": TEXTS * 100}
        answer = client.submit(address.post, "/v1/models/m:predict", body)
        while "waiting_rows 0.0" in address.get("/metrics").text and not answer.done():
            time.sleep(0.001)
    assert len(answer.result().json()["predictions"]) == 400
    assert address.stopped == [Stopped(0, False)]


def test_a_call_that_does_not_end_does_not_stop_the_stop(folder, monkeypatch):
    """What is not answered is counted: in the end, and in the metrics of each protocol."""
    called, go = threading.Event(), threading.Event()
    monkeypatch.setattr(ServedModel, "run", lambda *_: called.set() or go.wait(60))
    for name in ("SECONDS_TO_STOP", "SECONDS_TO_END"):
        monkeypatch.setattr(server_module, name, 0.3)
    request = predict_pb2.PredictRequest(model_spec={"name": "m"}, inputs={"text": tf.make_tensor_proto(["a"])})
    with ThreadPoolExecutor(2) as clients, contextlib.ExitStack() as channels:
        with running({"m": folder}, warm_up=False, engine="litert", workers=1) as address:
            stub, _ = channels.enter_context(address.stubs())
            answers = [clients.submit(address.post, "/v1/models/m:predict", {"instances": ["a"]})]
            assert called.wait(30)
            answers.append(clients.submit(stub.Predict, request))
            while not address.service.metrics.registry.get_sample_value("keras_bert_waiting_rows"):
                time.sleep(0.001)
            started = time.monotonic()
        assert time.monotonic() - started < 5
        go.set()
    assert (answers[0].result().status_code, answers[0].result().json()["error"]) == (503, "the server is stopping")
    assert answers[1].exception().code() == grpc.StatusCode.UNAVAILABLE
    assert address.stopped == [Stopped(2, True)]
    counted = address.service.metrics.registry.get_sample_value
    for protocol, status in (("tensorflow-serving-rest", "503"), ("tensorflow-serving-grpc", "CANCELLED")):
        assert counted("keras_bert_requests_total", {"protocol": protocol, "status": status}) == 1


WRONG = {
    "port": ({"port": 70000}, "`port`: must be from 0 to 65535"),
    "workers": ({"workers": 0}, "`workers`: must be at least 1"),
    "timeout": ({"timeout": 0}, "`timeout`: must be above 0"),
    "engine": ({"engine": "onnx"}, "`engine`: 'onnx' is unknown; choose from tensorflow, litert, litert-int8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_options_that_cannot_be(name):
    options, text = WRONG[name]
    with pytest.raises(UserError, match=text):
        ServerOptions(**options)


def test_a_port_that_is_taken_and_a_model_that_is_none(server, served_models, tmp_path):
    _, embed = served_models["embed"]
    port = urlsplit(server.http).port
    for folders, options, text in (
        ({"embed": embed}, {"port": port}, f"`port`: cannot listen on 127.0.0.1:{port}"),
        ({"m": tmp_path}, {}, "has no saved_model.pb and no version folders"),
        ({"embed": embed}, {"engine": "litert"}, "has no variants/network.tflite; export it with `variants=litert`"),
    ):
        with pytest.raises(UserError, match=text), running(folders, **options):
            pass
