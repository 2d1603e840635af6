"""TensorFlow Serving's gRPC protocol, called by its official stubs."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from fast_and_slow import slow_but
from serving.every_task import asked_rows
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_bert_scratch.serving.endpoints import columns_of
from keras_bert_scratch.serving.requests import request
from keras_bert_scratch.serving.server.service import Service

TEXTS = ["The heron sleeps.", "北京 ½ ß", ""]


def asked_in_short(shape, **values):
    """A request whose only value stands for all of its shape."""
    tensor = {"dtype": 7, "tensor_shape": {"dim": [{"size": size} for size in shape]}} | values
    return predict_pb2.PredictRequest(model_spec={"name": "classification"}, inputs={"text": tensor})


def asked(name, inputs, signature="", **options):
    tensors = {key: tf.make_tensor_proto(value) for key, value in inputs.items()}
    spec = {"name": name, "signature_name": signature}
    return predict_pb2.PredictRequest(model_spec=spec, inputs=tensors, **options)


def examples(rows):
    def feature(text):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))

    return [
        tf.train.Example(features=tf.train.Features(feature={key: feature(row[key]) for key in row})) for row in rows
    ]


@pytest.fixture(scope="module")
def stubs(server):
    with server.stubs() as both:
        yield both


@pytest.mark.parametrize("name", slow_but(["qa"], ["classification", "ner", "qa"]))
def test_every_signature_answers(server, stubs, served_models, name):
    tuned, _ = served_models[name]
    _, model = server.service.store.find(name)
    for signature, columns in columns_of(tuned).items():
        inputs = {key: value.numpy() for key, value in request(tuned, signature, asked_rows(columns)[1]).items()}
        response = stubs[0].Predict(asked(name, inputs, signature))
        assert response.model_spec.version.value == 1
        assert response.model_spec.signature_name == signature
        expected = model.run(signature, inputs)
        assert set(response.outputs) == set(expected)
        for key, values in expected.items():
            found = tf.make_ndarray(response.outputs[key])
            if values.dtype == np.float32:
                np.testing.assert_allclose(found, values, atol=1e-4)
            else:
                assert found.tolist() == values.tolist()


def test_outputs_can_be_chosen(stubs):
    response = stubs[0].Predict(asked("classification", {"text": TEXTS}, output_filter=["label"]))
    assert list(response.outputs) == ["label"]


def test_classify_and_regress_answer_about_examples(stubs):
    scores = tf.make_ndarray(stubs[0].Predict(asked("classification", {"text": TEXTS})).outputs["scores"])
    given = {"example_list": {"examples": examples([{"text": text} for text in TEXTS])}}
    request = classification_pb2.ClassificationRequest(model_spec={"name": "classification"}, input=given)
    for found, row in zip(stubs[0].Classify(request).result.classifications, scores, strict=True):
        assert [one.label for one in found.classes] == ["no", "yes", "perhaps"]
        np.testing.assert_allclose([one.score for one in found.classes], row, atol=1e-5)
    numbers = tf.make_ndarray(stubs[0].Predict(asked("regression", {"text": TEXTS})).outputs["score"])
    result = stubs[0].Regress(regression_pb2.RegressionRequest(model_spec={"name": "regression"}, input=given)).result
    np.testing.assert_allclose([one.value for one in result.regressions], numbers, atol=1e-4)
    with_context = {
        "examples": examples([{"text_pair": text} for text in TEXTS]),
        "context": examples([{"text": "a"}])[0],
    }
    given = {"example_list_with_context": with_context}
    request = classification_pb2.ClassificationRequest(model_spec={"name": "pairs"}, input=given)
    assert len(stubs[0].Classify(request).result.classifications) == 3


def test_metadata_and_status(stubs):
    spec = {"name": "classification"}
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    found = get_model_metadata_pb2.SignatureDefMap()
    assert stubs[0].GetModelMetadata(request).metadata["signature_def"].Unpack(found)
    assert found.signature_def["serving_default"].inputs["text"].dtype == tf.string.as_datatype_enum
    status = stubs[1].GetModelStatus(get_model_status_pb2.GetModelStatusRequest(model_spec=spec))
    (version,) = status.model_version_status
    assert (version.version, version.state) == (1, get_model_status_pb2.ModelVersionStatus.AVAILABLE)


WRONG = {
    "model": (asked("nobody", {"text": TEXTS}), "NOT_FOUND", "no model is called 'nobody'"),
    "signature": (asked("classification", {"text": TEXTS}, "x"), "NOT_FOUND", "no signature is called 'x'"),
    "column": (asked("classification", {"txt": TEXTS}), "INVALID_ARGUMENT", "must be text, not txt"),
    "dtype": (asked("classification", {"text": [1, 2]}), "INVALID_ARGUMENT", "has dtype int32, but must have dtype"),
    "shape": (asked("classification", {"text": [["a"]]}), "INVALID_ARGUMENT", "must have 1 dimensions"),
    "no rows": (asked("classification", {"text": np.array([], object)}), "INVALID_ARGUMENT", "no rows"),
    "output": (asked("classification", {"text": TEXTS}, output_filter=["x"]), "INVALID_ARGUMENT", "called 'x'"),
    "example": (asked("classification", {"examples": [b"x"]}, "serve_examples"), "INVALID_ARGUMENT", "parse example"),
    "tensor": (
        asked_in_short([3], string_val=[b"a", b"b", b"c", b"d"]),
        "INVALID_ARGUMENT",
        "text: is not a valid tensor",
    ),
    "large shape": (
        asked_in_short([30_000_000], string_val=[b"a"]),
        "INVALID_ARGUMENT",
        "text: its shape has 270000000 bytes, more than 8388608",
    ),
    "large shape of numbers": (asked_in_short([10**9], dtype=1), "INVALID_ARGUMENT", "has 4000000000 bytes"),
    "large shape of long texts": (asked_in_short([9], string_val=[b"a" * 10**6]), "INVALID_ARGUMENT", "bytes, more"),
    "no dtype": (asked_in_short([1], dtype=0), "INVALID_ARGUMENT", "not a valid tensor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(stubs, name):
    request, code, text = WRONG[name]
    with pytest.raises(grpc.RpcError) as error:
        stubs[0].Predict(request)
    assert (error.value.code().name, text in error.value.details()) == (code, True), error.value.details()


def test_one_value_may_stand_for_a_shape(stubs):
    response = stubs[0].Predict(asked_in_short([3], string_val=[b"a"]))
    assert len(response.outputs["label"].string_val) == 3


def test_a_fault_of_the_server_is_not_told_and_not_counted_as_right(server, stubs, monkeypatch):
    def counted(code):
        labels = {"protocol": "tensorflow-serving-grpc", "status": code}
        return server.service.metrics.registry.get_sample_value("keras_bert_requests_total", labels) or 0

    monkeypatch.setattr(Service, "infer", lambda *_: {}["secret"])
    before = counted("OK"), counted("INTERNAL")
    with pytest.raises(grpc.RpcError) as error:
        stubs[0].Predict(asked("classification", {"text": TEXTS}))
    assert error.value.code() == grpc.StatusCode.INTERNAL
    assert error.value.details() == "the server failed; its log says why"
    assert (counted("OK"), counted("INTERNAL")) == (before[0], before[1] + 1)


def test_a_deadline_is_kept(stubs):
    with pytest.raises(grpc.RpcError) as error:
        stubs[0].Predict(asked("classification", {"text": TEXTS * 100}), timeout=0.001)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_what_this_server_does_not_do_is_said(stubs):
    for call, message in (
        (stubs[0].MultiInference, inference_pb2.MultiInferenceRequest()),
        (stubs[1].HandleReloadConfigRequest, model_management_pb2.ReloadConfigRequest()),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call(message)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
