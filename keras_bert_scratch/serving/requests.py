"""Requests: rows converted to the tensors that a signature takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.serving.signatures import IDS, OF_EXAMPLES, SERVE_IDS, count_name
from keras_bert_scratch.tasks.data.columns import as_tensor, as_tensors
from keras_bert_scratch.tasks.fine_tuned import FineTuned


def request(tuned: FineTuned, signature: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, tf.Tensor]:
    """Returns the inputs of an exported model's signature for some rows, by name.

    Args:
        tuned: FineTuned. The model that was exported.
        signature: str. A name in `endpoints_of(...)`.
        rows: for each row a string or a list of strings by column. At least one row.
    """
    if signature in OF_EXAMPLES:
        return {OF_EXAMPLES[signature]: tf.constant([_example(row).SerializeToString() for row in rows])}
    columns = {column: [row[column] for row in rows] for column in rows[0]}
    if signature == SERVE_IDS:
        inputs = tuned.task.features(tuned.spec, tuned.tokenizer, as_tensors(columns)).inputs
        return {name: inputs[name] for name in IDS}
    tensors: dict[str, tf.Tensor] = {}
    for column, values in columns.items():
        tensors[column] = as_tensor(values, tf.string)
        if column in tuned.task.list_columns:
            tensors[column] = tensors[column].to_tensor()
            tensors[count_name(column)] = tf.constant(np.array(list(map(len, values)), np.int32))
    return tensors


def _example(row: Mapping[str, Any]) -> tf.train.Example:
    def feature(value: str | Sequence[str]) -> tf.train.Feature:
        texts = [value] if isinstance(value, str) else value
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode() for text in texts]))

    return tf.train.Example(features=tf.train.Features(feature={name: feature(row[name]) for name in row}))
