"""The signatures of an exported model: what each of them takes, and the graph that answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.serving.signatures import EXAMPLES, IDS, SERVE_EXAMPLES, SERVE_IDS, SIGNATURE, count_of
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import Task


def endpoints_of(tuned: FineTuned) -> dict[str, Any]:
    """The signatures by name, concrete functions.

    Each input and output has the rows first, lists are padded to the longest and come with a count. So a server may
    join the rows of several requests to one batch, and give each its own part of the outputs.

    Args:
        tuned: FineTuned. With the `network` that answers.
    """
    makers = {SERVE_EXAMPLES: _of_examples, SERVE_IDS: _of_ids}
    return {
        name: makers.get(name, _of_columns)(tuned, columns).get_concrete_function()
        for name, columns in columns_of(tuned).items()
    }


def columns_of(tuned: FineTuned) -> dict[str, tuple[str, ...]]:
    """By signature the columns of text that it is asked about, or that its examples or tokens are made of."""
    first, *others = tuned.task.forms(tuned.spec)
    named = {"_".join(columns): columns for columns in others}
    return {SIGNATURE: first, **named, SERVE_EXAMPLES: first, SERVE_IDS: first}


def _of_columns(tuned: FineTuned, columns: tuple[str, ...]) -> Any:
    """From strings `(rows,)` by column; lists are `(rows, None)`, and have the number of each row's strings beside."""
    inputs = [spec for column in columns for spec in _inputs(tuned.task, column)]
    lists = [column for column in columns if column in tuned.task.list_columns]

    def serve(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        given = dict(zip([spec.name for spec in inputs], values, strict=True))
        raw = {column: given[column] for column in columns}
        for column in lists:
            lengths = tf.clip_by_value(given[count_of(column)], 0, tf.shape(given[column])[1])
            raw[column] = tf.RaggedTensor.from_tensor(given[column], lengths=tf.cast(lengths, tf.int64))
        return _answers(tuned, raw)

    return tf.function(serve, input_signature=inputs, autograph=False)


def _inputs(task: Task, column: str) -> list[tf.TensorSpec]:
    if column not in task.list_columns:
        return [tf.TensorSpec([None], tf.string, column)]
    return [tf.TensorSpec([None, None], tf.string, column), tf.TensorSpec([None], tf.int32, count_of(column))]


def _of_examples(tuned: FineTuned, columns: tuple[str, ...]) -> Any:
    """From serialized `tf.train.Example`, whose features are the columns, with one string each or several."""
    optional = tuned.task.optional_columns(tuned.spec)
    features = {
        column: tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)
        if column in tuned.task.list_columns
        else tf.io.FixedLenFeature([], tf.string, "" if column in optional else None)
        for column in columns
    }

    def serve(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return _answers(tuned, tf.io.parse_example(examples, features))

    return tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, EXAMPLES)], autograph=False)


def _answers(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    features = tuned.task.features(tuned.spec, tuned.tokenizer, raw)
    _, answers = tuned.task.asked(tuned.spec, tuned.network, features)
    return {**answers, "token_count": features.token_counts, "truncated": features.truncated}


def _of_ids(tuned: FineTuned, columns: tuple[str, ...]) -> Any:
    """From the tokens of rows that begin with `[CLS]`, int32 `(rows, length)`, of choices `(rows, choices, length)`."""
    rank = len(tuned.model.input[IDS[0]].shape)

    def serve(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = dict(zip(IDS, values, strict=True))
        tf.debugging.assert_non_negative(inputs["token_ids"], "token_ids: one is below 0")  # Keras counts from the end
        # A server that batches pads with a tensor's first element: ids with [CLS], but the mask with 1. A text does not
        # end in [CLS], so there a row is over.
        is_other = tf.cast(inputs["token_ids"] != tuned.tokenizer.vocabulary.cls_id, tf.int32)
        others_from_here = tf.cumsum(is_other, axis=-1, reverse=True)
        inputs["padding_mask"] = tf.where(others_from_here > 0, tf.minimum(inputs["padding_mask"], 1), 0)
        answers = tuned.task.asked_by_ids(tuned.spec, tuned.tokenizer, tuned.network, inputs)
        token_count = tf.reduce_sum(inputs["padding_mask"], axis=-1)
        return {**answers, "token_count": tf.reduce_max(token_count, axis=-1) if rank > 2 else token_count}

    specs = [tf.TensorSpec([None] * rank, tf.int32, name) for name in IDS]
    return tf.function(serve, input_signature=specs, autograph=False)
