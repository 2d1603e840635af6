"""Warm-up: requests that TensorFlow Serving itself runs on a model before it accepts requests from clients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.endpoints import columns_of
from keras_bert_scratch.serving.requests import request
from keras_bert_scratch.serving.signatures import SERVE_IDS
from keras_bert_scratch.tasks.fine_tuned import FineTuned

FILE = "assets.extra/tf_serving_warmup_requests"
MOST_REQUESTS = 1000  # TensorFlow Serving refuses a version with more


def write_warm_up(tuned: FineTuned, path: Path) -> None:
    """Writes a request of each length for each signature into the SavedModel at `path`.

    Each request is run before it is written: TensorFlow Serving refuses a model if a single one fails.

    Args:
        tuned: FineTuned. The model that was exported.
        path: the SavedModel's folder.

    Raises:
        UserError: there would be more requests than TensorFlow Serving accepts.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    lengths, forms = tuned.spec.row_lengths, columns_of(tuned)
    if len(lengths) * len(forms) > MOST_REQUESTS:
        raise UserError(f"`row_lengths`: has {len(lengths)} lengths; give at most {MOST_REQUESTS // len(forms)}")
    signatures = tf.saved_model.load(str(path)).signatures
    file = path / FILE
    file.parent.mkdir()
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name, columns in forms.items():
            for inputs in _one_of_each_length(tuned, name, columns):
                signatures[name](**inputs)
                asked = predict_pb2.PredictRequest(
                    inputs={key: tf.make_tensor_proto(value.numpy()) for key, value in inputs.items()}
                )
                asked.model_spec.signature_name = name
                log = prediction_log_pb2.PredictLog(request=asked)
                writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def _one_of_each_length(tuned: FineTuned, signature: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    word = _word(tuned)
    (at_least,), _ = tuned.count_tokens({name: [value] for name, value in tuned.task.sample(columns, [word]).items()})
    found = []
    for length in tuned.spec.row_lengths:
        row = tuned.task.sample(columns, [word] * (1 + max(0, length - int(at_least))))
        inputs = request(tuned, signature, [row])
        if signature == SERVE_IDS:
            inputs = {name: value[:1] for name, value in inputs.items()}
        found.append(inputs)
    return found


def _word(tuned: FineTuned) -> str:
    """Returns a word that is a single token."""
    vocabulary = tuned.tokenizer.vocabulary
    words = [token for token in vocabulary.tokens if token.isalpha() and token.isascii()]
    return next(iter(sorted(words, key=len, reverse=True)), vocabulary.tokens[-1])
