"""The load of benchmarks/serving_load.py for a few seconds, and malformed request bodies."""

import asyncio
import importlib.util
import random
import sys
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import requests
from serving.served import running

SCRIPT = Path(__file__).parents[2] / "benchmarks/serving_load.py"
TEXTS = ["The heron sleeps.", "北京 ½ ß", "", *("otter " * count for count in range(1, 60, 3))]


@pytest.fixture(scope="module")
def monkeypatch_of_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def serving_load(monkeypatch_of_module):
    spec = importlib.util.spec_from_file_location("serving_load", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch_of_module.setitem(sys.modules, "serving_load", module)  # its dataclass looks up its module there
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["tensorflow", "litert"])
def test_under_load_every_answer_is_right(served_models, serving_load, engine):
    _, folder = served_models["classification"]
    with running({"m": folder}, warm_up=False, engine=engine, most_megabytes=0.01) as address:
        port = urlsplit(address.http).port
        report = asyncio.run(serving_load.load(port, "/v1/models/m:predict", TEXTS, 3, 8, most_bytes=20_000))
    assert report.faults == {}
    assert report.outcomes["right"] > 50
    assert report.outcomes["refused"]


PATHS = (
    "/v1/models/{model}:predict",
    "/v1/models/{model}:classify",
    "/v1/models/{model}:regress",
    "/v1/models/{model}/versions/1:predict",
    "/v2/models/{model}/infer",
    "/v1/embeddings",
    "/v1/rerank",
)
WORDS = (
    "instances inputs signature_name serving_default serve_ids serve_examples classify words text text_pair question "
    "context token_ids segment_ids padding_mask examples b64 name shape datatype data BYTES INT32 FP32 outputs id "
    "parameters input model embed pairs ner query documents top_n dimensions encoding_format float base64 num_words"
)


def anything(rng, depth=0):
    """A random JSON value, which may contain words of the protocols."""
    kind = rng.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return rng.choice([None, True, False, 0, -1, 1, 2.5, 1e308, 2**31, 2**63 - 1, 101])
    if kind < 4:
        return rng.choice([*WORDS.split(), "", "\0", "😀", "a" * 300, "\ufeff", "[MASK]"])
    if kind < 6:
        return rng.randrange(-3, 40)
    if kind == 6:
        return [anything(rng, depth + 1) for _ in range(rng.randrange(4))]
    return {rng.choice(WORDS.split()): anything(rng, depth + 1) for _ in range(rng.randrange(5))}


def near_to_right(rng, model):
    """A correct body with at most two values replaced."""
    rows = [
        {"text": rng.choice(TEXTS), "text_pair": "a", "question": "Who?", "context": "The otter."} for _ in range(2)
    ]
    columns = {"pairs": ("text", "text_pair"), "qa": ("question", "context")}.get(model, ("text",))
    ids = {name: [[2, 5, 3], [2, 6, 3]] for name in ("token_ids", "segment_ids", "padding_mask")}
    ids["segment_ids"] = [[0, 0, 0]] * 2
    tensor = {"name": columns[0], "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}
    body = rng.choice(
        [
            {"instances": [{name: row[name] for name in columns} for row in rows]},
            {"inputs": {name: [row[name] for row in rows] for name in columns}},
            {"signature_name": "serve_ids", "inputs": ids},
            {"examples": [{name: row[name] for name in columns} for row in rows]},
            {"inputs": [tensor]},
            {"input": ["a", "b"], "model": "embed"},
            {"query": "a", "documents": ["b", "c"], "model": "pairs"},
        ]
    )
    for _ in range(rng.randrange(3)):
        at = body
        while isinstance(at, (dict, list)) and at:
            key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
            if rng.random() < 0.4 or not isinstance(at[key], (dict, list)):
                at[key] = anything(rng, 2)
                break
            at = at[key]
    return body


def check_fuzzed(address, count, seed):
    """Each request gets an answer or an error in its protocol's form; the server runs on and answers as before."""
    rng, statuses = random.Random(seed), {}
    known = {"instances": TEXTS[:3]}
    before = address.post("/v1/models/classification:predict", known).json()
    with requests.Session() as session:
        for number in range(count):
            model = rng.choice(["classification", "pairs", "regression", "ner", "qa", "fill-mask", "embed", "nobody"])
            path = rng.choice(PATHS).format(model=model)
            body = orjson.dumps(near_to_right(rng, model) if rng.random() < 0.7 else anything(rng))
            if rng.random() < 0.1:  # damaged bytes
                at = rng.randrange(len(body) + 1)
                body = body[:at] + bytes([rng.randrange(256)]) + body[at + rng.randrange(3) :]
            response = session.post(address.http + path, data=body, timeout=60)
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            assert response.status_code == 200 or 400 <= response.status_code < 500, (path, body, response.text)
            found = response.json()
            if response.status_code != 200:
                error = found["error"]["message"] if path in ("/v1/embeddings", "/v1/rerank") else found["error"]
                assert isinstance(error, str), (path, body, found)
            if number % 100 == 0:
                assert address.post("/v1/models/classification:predict", known).json() == before
    assert address.post("/v1/models/classification:predict", known).json() == before
    assert statuses[200]
    assert statuses[400]


@pytest.mark.slow
def test_bodies_that_nobody_would_send(server):
    check_fuzzed(server, 400, seed=1)


@pytest.mark.slow
def test_ten_thousand_bodies_that_nobody_would_send(server):
    check_fuzzed(server, 10_000, seed=2)
