"""OpenAI's embeddings API, and documents ranked for a query."""

import base64
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

TEXTS = ["The heron sleeps.", "An otter crosses the river.", ""]


def embedded(server, texts, **more):
    return server.post("/v1/embeddings", {"input": texts, "model": "embed", **more})


def vectors_of(server, texts) -> np.ndarray:
    _, model = server.service.store.find("embed")
    return model.run("serving_default", {"text": np.array([text.encode() for text in texts], object)})["embedding"]


def test_embeddings_are_those_of_the_model(server):
    expected = vectors_of(server, TEXTS)
    found = embedded(server, TEXTS).json()
    assert [one["index"] for one in found["data"]] == [0, 1, 2]
    np.testing.assert_allclose([one["embedding"] for one in found["data"]], expected, atol=1e-5)
    assert found["model"] == "embed"
    assert found["usage"]["prompt_tokens"] == found["usage"]["total_tokens"] > 6
    packed = embedded(server, TEXTS, encoding_format="base64").json()["data"]
    unpacked = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") for one in packed]
    np.testing.assert_allclose(unpacked, expected, atol=1e-5)
    (single,) = embedded(server, TEXTS[0]).json()["data"]
    np.testing.assert_allclose(single["embedding"], expected[0], atol=1e-5)


def test_fewer_dimensions_are_of_length_1_again(server):
    expected = vectors_of(server, TEXTS)[:, :4]
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = embedded(server, TEXTS, dimensions=4).json()["data"]
    np.testing.assert_allclose([one["embedding"] for one in found], expected, atol=1e-5)


def test_models_are_listed_with_their_tasks(server):
    found = {one["id"]: one for one in server.get("/v1/models").json()["data"]}
    assert found["ner"]["task"] == "ner"
    assert found["pairs"]["columns"] == ["text", "text_pair"]
    assert found["classification"]["labels"] == ["no", "yes", "perhaps"]


def test_documents_are_ranked_by_cosine_or_by_a_model_of_pairs(server):
    query, documents = "An otter", [*TEXTS[:2], "heron"]
    body = {"query": query, "documents": documents, "return_documents": True}
    vectors = vectors_of(server, [query, *documents])
    cosines = vectors[1:] @ vectors[0]
    for path in ("/rerank", "/v1/rerank"):
        results = server.post(path, {**body, "model": "embed"}).json()["results"]
        assert [one["index"] for one in results] == np.argsort(-cosines).tolist()
        assert [one["relevance_score"] for one in results] == pytest.approx(np.sort(cosines)[::-1], abs=1e-5)
        assert [one["document"]["text"] for one in results] == [documents[one["index"]] for one in results]
    _, model = server.service.store.find("pairs")
    columns = {"text": [query] * 3, "text_pair": documents}
    inputs = {name: np.array([text.encode() for text in texts], object) for name, texts in columns.items()}
    scores = model.run("serving_default", inputs)["scores"][:, -1]
    body = {"query": query, "documents": [{"text": text} for text in documents], "model": "pairs", "top_n": 2}
    results = server.post("/rerank", body).json()["results"]
    assert [one["relevance_score"] for one in results] == pytest.approx(np.sort(scores)[::-1][:2], abs=1e-4)
    assert set(results[0]) == {"index", "relevance_score"}


def test_a_model_of_several_layers_is_not_for_these_apis(server, monkeypatch):
    """It returns several vectors for each text."""
    _, model = server.service.store.find("embed")
    signature = model.signatures["serving_default"]
    outputs = {**signature.outputs, "embedding": tf.TensorSpec([None, 2, 64])}
    several = dataclasses.replace(signature, outputs=outputs)
    monkeypatch.setattr(model, "signatures", {**model.signatures, "serving_default": several})
    body = {"query": "a", "documents": ["b"], "model": "embed"}
    for response, such in (
        (embedded(server, TEXTS, dimensions=1), "embeds texts, with one vector for each; such models: none"),
        (server.post("/rerank", body), "compares two texts; such models: pairs"),
    ):
        assert (response.status_code, such in response.json()["error"]["message"]) == (400, True), response.text


WRONG = {
    "model": ("/v1/embeddings", {"input": "a", "model": "nobody"}, 404, "no model is called 'nobody'"),
    "no embedder": ("/v1/embeddings", {"input": "a", "model": "ner"}, 400, "'ner' is not a model that embeds texts"),
    "tokens": ("/v1/embeddings", {"input": [1, 2], "model": "embed"}, 400, "must be text, at least one string"),
    "nothing": ("/v1/embeddings", {"input": [], "model": "embed"}, 400, "at least one string"),
    "form": ("/v1/embeddings", {"input": "a", "model": "embed", "encoding_format": "x"}, 400, "float or base64"),
    "dimensions": ("/v1/embeddings", {"input": "a", "model": "embed", "dimensions": 10**6}, 400, "must be from 1 to"),
    "two rankers": ("/rerank", {"query": "a", "documents": ["a"]}, 400, "compares two texts: pairs, embed"),
    "query": ("/rerank", {"documents": ["a"], "model": "embed"}, 400, "query: must be text"),
    "document": ("/rerank", {"query": "a", "documents": [{"x": 1}], "model": "embed"}, 400, "documents: must be text"),
    "top": ("/rerank", {"query": "a", "documents": ["a"], "model": "embed", "top_n": 0}, 400, "top_n"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_as_openai_does(server, name):
    path, body, status, text = WRONG[name]
    response = server.post(path, body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert text in error["message"]


def test_the_only_model_that_can_needs_no_name(server):
    assert server.post("/v1/embeddings", {"input": "a"}).json()["model"] == "embed"
