"""TensorFlow Serving's REST protocol, as its documentation describes it."""

import base64

import numpy as np
import pytest
from fast_and_slow import slow_but
from serving.conftest import SERVED
from serving.every_task import asked_rows

from keras_bert_scratch.serving.endpoints import columns_of
from keras_bert_scratch.serving.requests import request
from keras_bert_scratch.serving.signatures import OF_EXAMPLES

TEXTS = ["The heron sleeps.", "北京 ½ ß", ""]


def as_json(values: np.ndarray) -> list:
    """An array as a client writes it; bytes that are not UTF-8 become base64."""

    def written(value):
        if isinstance(value, list):
            return [written(item) for item in value]
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError:
                return {"b64": base64.b64encode(value).decode()}
        return value

    return written(values.tolist())


def assert_same(ours, theirs, what) -> None:
    """Compares nested lists of strings and numbers."""
    if isinstance(theirs, list):
        assert len(ours) == len(theirs), what
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other, what)
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, abs=1e-4), what
    else:
        assert ours == theirs, what


@pytest.mark.parametrize("name", slow_but(["ner", "embed"], SERVED))
def test_every_signature_answers_in_rows_and_in_columns(server, served_models, name):
    """Both forms return what the graph itself returns; answers in rows are in the order of the request's rows."""
    tuned, _ = served_models[name]
    _, model = server.service.store.find(name)
    for signature, columns in columns_of(tuned).items():
        inputs = {key: value.numpy() for key, value in request(tuned, signature, asked_rows(columns)[1]).items()}
        expected = {key: as_json(values) for key, values in model.run(signature, inputs).items()}
        written = {
            key: [{"b64": base64.b64encode(value).decode()} for value in values]
            if signature in OF_EXAMPLES
            else as_json(values)
            for key, values in inputs.items()
        }
        by_column = server.post(f"/v1/models/{name}:predict", {"signature_name": signature, "inputs": written})
        assert by_column.status_code == 200, by_column.text
        outputs = by_column.json()["outputs"]
        outputs = outputs if len(expected) > 1 else {next(iter(expected)): outputs}
        rows = [{key: written[key][row] for key in written} for row in range(len(next(iter(written.values()))))]
        by_row = server.post(f"/v1/models/{name}:predict", {"signature_name": signature, "instances": rows})
        predictions = by_row.json()["predictions"]
        for key, values in expected.items():
            assert_same(outputs[key], values, f"{signature} {key}")
            column = [row[key] if len(expected) > 1 else row for row in predictions]
            assert_same(column, values, f"{signature} {key} by row")


@pytest.mark.parametrize(
    "body",
    [
        {"instances": ["The heron sleeps."]},
        {"instances": [{"text": "The heron sleeps."}]},
        {"instances": [{"b64": base64.b64encode(b"The heron sleeps.").decode()}]},
        {"instances": [{"text": {"b64": base64.b64encode(b"The heron sleeps.").decode()}}]},
        {"signature_name": "", "instances": ["The heron sleeps."]},
    ],
)
def test_the_name_of_a_single_input_may_be_left_out(server, body):
    wanted = server.post("/v1/models/classification:predict", {"instances": [{"text": "The heron sleeps."}]}).json()
    assert server.post("/v1/models/classification/versions/1:predict", body).json() == wanted


@pytest.mark.parametrize("inputs", [["The heron sleeps."], {"text": ["The heron sleeps."]}])
def test_the_name_of_a_single_column_may_be_left_out(server, inputs):
    wanted = server.post("/v1/models/classification:predict", {"instances": ["The heron sleeps."]}).json()
    outputs = server.post("/v1/models/classification:predict", {"inputs": inputs}).json()["outputs"]
    assert {key: values[0] for key, values in outputs.items()} == wanted["predictions"][0]


def test_classify_names_every_class_with_its_score(server):
    predicted = server.post("/v1/models/classification:predict", {"instances": TEXTS}).json()["predictions"]
    body = {"examples": [{"text": text} for text in TEXTS]}
    result = server.post("/v1/models/classification:classify", body).json()["result"]
    for one, other in zip(result, predicted, strict=True):
        assert [label for label, _ in one] == ["no", "yes", "perhaps"]
        assert [score for _, score in one] == pytest.approx(other["scores"], abs=1e-5)
    pair = {"context": {"text": "The heron"}, "examples": [{"text_pair": text} for text in TEXTS]}
    assert len(server.post("/v1/models/pairs:classify", pair).json()["result"]) == 3


def test_regress_gives_the_number(server):
    predicted = server.post("/v1/models/regression:predict", {"instances": TEXTS}).json()["predictions"]
    body = {"signature_name": "regress", "examples": [{"text": [text]} for text in TEXTS]}
    result = server.post("/v1/models/regression:regress", body).json()["result"]
    assert result == pytest.approx([row["score"] for row in predicted], abs=1e-4)


def test_status_and_metadata_are_those_of_tensorflow_serving(server):
    status = {"error_code": "OK", "error_message": ""}
    states = {"model_version_status": [{"version": "1", "state": "AVAILABLE", "status": status}]}
    assert server.get("/v1/models/classification").json() == states
    assert server.get("/v1/models/classification/versions/1").json() == states
    found = server.get("/v1/models/classification/metadata").json()
    assert found["model_spec"] == {"name": "classification", "signature_name": "", "version": "1"}
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert signatures["classify"]["method_name"] == "tensorflow/serving/classify"
    text = signatures["serving_default"]["inputs"]["text"]
    assert (text["dtype"], text["tensor_shape"]["dim"][0]["size"]) == ("DT_STRING", "-1")


WRONG = {
    "no JSON": (400, "classification:predict", b"{", "not valid JSON"),
    "no UTF-8": (400, "classification:predict", b'{"instances": ["\xff"]}', "not valid JSON"),
    "half a surrogate": (400, "classification:predict", b'{"instances": ["\\ud800"]}', "not valid JSON"),
    "NaN": (400, "classification:predict", b'{"instances": [NaN]}', "not valid JSON"),
    "no object": (400, "classification:predict", [1], "must be a JSON object"),
    "nothing": (400, "classification:predict", {}, "'instances' or 'inputs'"),
    "both": (400, "classification:predict", {"instances": ["a"], "inputs": ["a"]}, "either 'instances' or"),
    "no rows": (400, "classification:predict", {"instances": []}, "at least one"),
    "no columns": (400, "classification:predict", {"inputs": []}, "no rows"),
    "a number": (400, "classification:predict", {"instances": [1]}, "must hold strings, not a number"),
    "null": (400, "classification:predict", {"instances": [None]}, "must hold strings, not null"),
    "deep": (400, "classification:predict", {"instances": [["a"]]}, "must hold strings, not a list"),
    "flat": (400, "classification:predict", {"inputs": "a"}, "0 dimensions"),
    "base64": (400, "classification:predict", {"instances": [{"b64": "!"}]}, "not valid base64"),
    "other column": (400, "classification:predict", {"instances": [{"txt": "a"}]}, "must be text, not txt"),
    "one column more": (400, "pairs:predict", {"instances": [{"text": "a"}]}, "must be text, text_pair, not text"),
    "rows differ": (400, "pairs:predict", {"inputs": {"text": ["a"], "text_pair": []}}, "different numbers of rows"),
    "unknown field": (400, "classification:predict", {"instances": ["a"], "instance": 1}, "unknown fields instance;"),
    "signature": (404, "classification:predict", {"signature_name": "x", "instances": ["a"]}, "'x'; signatures: serv"),
    "kind of signature": (400, "classification:predict", {"signature_name": 1, "instances": ["a"]}, "must be a string"),
    "model": (404, "nobody:predict", {"instances": ["a"]}, "no model is called 'nobody'"),
    "version": (404, "classification/versions/7:predict", {"instances": ["a"]}, "version 7 of 'classification'"),
    "no version": (400, "classification/versions/x:predict", {"instances": ["a"]}, "must be a number, not 'x'"),
    "huge version": (400, f"classification/versions/{'9' * 30}:predict", {"instances": ["a"]}, "must be a number"),
    "method": (404, "regression:classify", {"examples": [{"text": "a"}]}, "no signature is called 'classify'"),
    "a whole text to be scored": (
        400,
        "fill-mask:predict",
        {"instances": ["[MASK]", "a " * 2100]},
        "row 2 makes the model read 2100 sequences of 32 tokens, more than the limit of 65536 tokens in all; split the "
        "text, or write [MASK]",
    ),
    "predict's": (
        400,
        "classification:classify",
        {"signature_name": "serving_default", "examples": []},
        "does not support classify",
    ),
    "examples": (400, "classification:classify", {"examples": ["a"]}, "'examples', a list of objects"),
    "example's column": (400, "classification:classify", {"examples": [{"x": "a"}]}, "Feature: text"),
    "verb": (405, "classification:explain", {}, "Method Not Allowed"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(server, name):
    status, path, body, text = WRONG[name]
    options = {"data": body} if isinstance(body, bytes) else {"json": body}
    response = server.post(f"/v1/models/{path}", **options)
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    assert text in response.json()["error"]


IDS = {"token_ids": [[2, 5]], "segment_ids": [[0, 0]], "padding_mask": [[1, 1]]}
WRONG_IDS = {
    "below 0": ({"token_ids": [[2, -5]]}, "an id is negative"),
    "not in the vocabulary": ({"token_ids": [[2, 10**6]]}, "1000000"),
    "segment": ({"segment_ids": [[0, 7]]}, "7"),
    "large": ({"token_ids": [[2, 2**31]]}, "too large for int32"),
    "text": ({"token_ids": [["2", "5"]]}, "must hold whole numbers, not a string"),
    "truth": ({"token_ids": [[True, 5]]}, "not a boolean"),
    "parts": ({"token_ids": [[2.5, 5]]}, "not a number"),
    "ragged": ({"token_ids": [[2], [2, 5]]}, "differ in length"),
    "shapes": ({"token_ids": [[2, 5, 6]]}, "different shapes"),
    "long": ({name: [[1] * 33] for name in IDS}, "longer than the limit of 32"),
    "flat": ({"token_ids": [2, 5]}, "1 dimensions, but must have 2"),
}


@pytest.mark.parametrize("name", WRONG_IDS)
def test_what_is_wrong_with_tokens_is_said(server, name):
    changes, text = WRONG_IDS[name]
    body = {"signature_name": "serve_ids", "inputs": {**IDS, **changes}}
    response = server.post("/v1/models/classification:predict", body)
    assert (response.status_code, text in response.json()["error"]) == (400, True), response.text
