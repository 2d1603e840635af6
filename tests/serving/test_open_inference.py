"""The Open Inference Protocol, version 2."""

import numpy as np
import pytest

TEXTS = ["The heron sleeps.", "北京 ½ ß", ""]
TEXT = {"name": "text", "shape": [3], "datatype": "BYTES", "data": TEXTS}


def infer(server, *inputs, model="classification", **more):
    return server.post(f"/v2/models/{model}/infer", {"inputs": list(inputs), **more})


def test_an_answer_is_that_of_the_model(server):
    _, model = server.service.store.find("classification")
    expected = model.run("serving_default", {"text": np.array([text.encode() for text in TEXTS], object)})
    for data in (TEXTS, [TEXTS]):  # nested is allowed, too
        answer = infer(server, {**TEXT, "data": data}, id="7").json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == ("classification", "1", "7")
        outputs = {one["name"]: one for one in answer["outputs"]}
        assert set(outputs) == set(expected)
        assert outputs["label"]["data"] == [label.decode() for label in expected["label"]]
        assert (outputs["scores"]["datatype"], outputs["scores"]["shape"]) == ("FP32", [3, 3])
        assert outputs["scores"]["data"] == pytest.approx(expected["scores"].ravel(), abs=1e-5)


def test_signature_version_and_outputs_can_be_chosen(server):
    ids = {"shape": [1, 3], "datatype": "INT32", "data": [2, 5, 3]}
    inputs = [{"name": name, **ids} for name in ("token_ids", "padding_mask")]
    inputs.append({"name": "segment_ids", **ids, "data": [0, 0, 0]})
    body = {"inputs": inputs, "outputs": [{"name": "token_count"}], "parameters": {"signature_name": "serve_ids"}}
    answer = server.post("/v2/models/classification/versions/1/infer", body).json()
    assert [(one["name"], one["data"]) for one in answer["outputs"]] == [("token_count", [3])]


def test_health_and_metadata(server):
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/ner/ready", "/v2/models/ner/versions/1/ready"):
        assert server.get(path).status_code == 200, path
    assert server.get("/v2").json()["name"] == "keras-bert"
    found = server.get("/v2/models/pairs").json()
    assert sorted(one["name"] for one in found["inputs"]) == ["text", "text_pair"]
    assert found["versions"] == ["1"]
    assert {one["name"]: one["datatype"] for one in found["outputs"]}["scores"] == "FP32"
    assert server.get("/v2/models/nobody/ready").status_code == 404


WRONG = {
    "nothing": ([], "must be text, not nothing"),
    "name": ([{**TEXT, "name": "txt"}], "must be text, not txt"),
    "no name": ([{"shape": [1]}], "a unique 'name'"),
    "twice": ([TEXT, TEXT], "a unique 'name'"),
    "datatype": ([{**TEXT, "datatype": "FP32"}], "'datatype' must be BYTES, not FP32"),
    "shape": ([{**TEXT, "shape": [4]}], "has 3 values, but its shape [4] has 4"),
    "rank": ([{**TEXT, "shape": [1, 3]}], "list of 1 sizes"),
    "size": ([{**TEXT, "shape": [-3]}], "list of 1 sizes"),
    "no size": ([{**TEXT, "shape": [True]}], "list of 1 sizes"),
    "no data": ([{**TEXT, "data": "a"}], "no 'data', a list"),
    "uneven": ([{**TEXT, "data": [["a"], "b"]}], "different depths"),
    "values": ([{**TEXT, "data": [1, 2, 3]}], "must hold strings, not a number"),
    "no rows": ([{**TEXT, "shape": [0], "data": []}], "no rows"),
    "inputs": ("text", "list of objects"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(server, name):
    inputs, text = WRONG[name]
    response = server.post("/v2/models/classification/infer", {"inputs": inputs})
    assert (response.status_code, text in response.json()["error"]) == (400, True), response.text


def test_outputs_and_parameters_that_cannot_be(server):
    for more, text in (
        ({"outputs": [{"name": "x"}]}, "no output is called 'x'"),
        ({"outputs": "label"}, "'outputs' must be a list"),
        ({"parameters": {"signature_name": 1}}, "a string"),
        ({"parameters": []}, "must be an object"),
    ):
        response = infer(server, TEXT, **more)
        assert (response.status_code, text in response.json()["error"]) == (400, True), response.text
