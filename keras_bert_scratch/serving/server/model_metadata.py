"""Metadata of a model in TensorFlow Serving's messages: its signatures, and the state of each version."""

from __future__ import annotations

import tensorflow as tf
from tensorflow.core.framework import tensor_shape_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from keras_bert_scratch.serving.export import METHOD_NAMES
from keras_bert_scratch.serving.server.model_store import ModelStore
from keras_bert_scratch.serving.server.served_model import ServedModel

PREDICT = "tensorflow/serving/predict"


def signature_defs(model: ServedModel) -> get_model_metadata_pb2.SignatureDefMap:
    """Returns the signatures of a model."""
    return get_model_metadata_pb2.SignatureDefMap(
        signature_def={
            name: meta_graph_pb2.SignatureDef(
                inputs={key: _tensor_info(key, spec) for key, spec in signature.inputs.items()},
                outputs={key: _tensor_info(key, spec) for key, spec in signature.outputs.items()},
                method_name=METHOD_NAMES.get(name, PREDICT),
            )
            for name, signature in model.signatures.items()
        }
    )


def _tensor_info(name: str, spec: tf.TensorSpec) -> meta_graph_pb2.TensorInfo:
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=-1 if size is None else size) for size in spec.shape]
    shape = tensor_shape_pb2.TensorShapeProto(dim=sizes)
    return meta_graph_pb2.TensorInfo(name=name, dtype=spec.dtype.as_datatype_enum, tensor_shape=shape)


def version_states(
    store: ModelStore, name: str, version: int | None = None
) -> list[get_model_status_pb2.ModelVersionStatus]:
    """Returns the state of a version, or of all that are served or failed to load, the highest first.

    Raises:
        RequestError: there is no such model or version.
    """
    state = get_model_status_pb2.ModelVersionStatus
    found = {
        number: state(version=number, state=state.AVAILABLE, status={"error_code": 0, "error_message": ""})
        for number in store.versions(name)
    }
    for (of, number), text in store.faults.items():
        if of == name and number not in found:
            status = {"error_code": 2, "error_message": text}
            found[number] = state(version=number, state=state.END, status=status)
    if version is not None:
        if version not in found:
            store.find(name, version)  # raises the error, which lists the versions
        return [found[version]]
    return [found[number] for number in sorted(found, reverse=True)]
