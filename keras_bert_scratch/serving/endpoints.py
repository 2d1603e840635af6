"""The signatures of an exported model: the inputs of each, and the graph that computes its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.signatures import (
    CLASSIFY,
    IDS,
    OF_EXAMPLES,
    REGRESS,
    SERVE_EXAMPLES,
    SERVE_IDS,
    SIGNATURE,
    count_name,
)
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import Task


def endpoints_of(tuned: FineTuned) -> dict[str, Any]:
    """Returns the signatures as concrete functions, by name.

    The first axis of every input and output is the row. Lists are padded to the longest and come with a count. So a
    server can join rows of several requests into one batch and split the outputs by request.

    Args:
        tuned: FineTuned. Its `network` computes the outputs.
    """
    forms = columns_of(tuned)
    by_ids = _of_ids(tuned, forms.pop(SERVE_IDS)).get_concrete_function()
    return {**_of_text(tuned, forms, {CLASSIFY: _classes, REGRESS: _numbers}), SERVE_IDS: by_ids}


def attention_of(tuned: FineTuned) -> Any:
    """Returns one more signature of the columns: each row's tokens, and the attention weights of every layer and head.

    For a row that is split into windows, the weights are those of the first window.

    Raises:
        UserError: a row of the task is not a single sequence of tokens.
    """
    if tuned.task.teacher_forced or len(tuned.model.input[IDS[0]].shape) > 2:
        raise UserError(f"`attention`: a row of {tuned.spec.task} is not a single sequence; leave it out")
    first, *_ = tuned.task.forms(tuned.spec)
    return _of_columns(tuned, first, _attention).get_concrete_function()


def counters_of(tuned: FineTuned) -> dict[str, Any]:
    """Returns for each text signature a concrete function of the same inputs that outputs only the size of each row.

    Its outputs are `tokens` and `sequences`, the number of sequences that the model reads to answer the row.
    """
    forms = {name: columns for name, columns in columns_of(tuned).items() if name != SERVE_IDS}
    return _of_text(tuned, forms, dict.fromkeys(forms, _sizes))


def columns_of(tuned: FineTuned) -> dict[str, tuple[str, ...]]:
    """Returns for each signature its text columns, or those from which its examples or tokens are made."""
    first, *others = tuned.task.forms(tuned.spec)
    named = {"_".join(columns): columns for columns in others}
    by_examples = [SERVE_EXAMPLES, tuned.task.method] if tuned.task.method else [SERVE_EXAMPLES]
    return {SIGNATURE: first, **named, **dict.fromkeys(by_examples, first), SERVE_IDS: first}


Give = Callable[[FineTuned, Mapping[str, Any]], Any]  # computes outputs from the columns of some rows


def _of_text(tuned: FineTuned, forms: Mapping[str, tuple[str, ...]], give: Mapping[str, Give]) -> dict[str, Any]:
    """Makes the functions of text signatures; `give` maps a signature to its computation, if not `_answers`."""
    functions = {}
    for name, columns in forms.items():
        given = give.get(name, _answers)
        if name in OF_EXAMPLES:
            functions[name] = _of_examples(tuned, columns, given, OF_EXAMPLES[name])
        else:
            functions[name] = _of_columns(tuned, columns, given)
    return {name: function.get_concrete_function() for name, function in functions.items()}


def _of_columns(tuned: FineTuned, columns: tuple[str, ...], give: Give) -> Any:
    """Makes a function of strings `(rows,)` by column; a list column is `(rows, None)`, with a count per row."""
    inputs = [spec for column in columns for spec in _inputs(tuned.task, column)]
    lists = [column for column in columns if column in tuned.task.list_columns]

    def serve(*values: tf.Tensor) -> Any:
        given = dict(zip([spec.name for spec in inputs], values, strict=True))
        raw = {column: given[column] for column in columns}
        for column in lists:
            lengths = tf.clip_by_value(given[count_name(column)], 0, tf.shape(given[column])[1])
            raw[column] = tf.RaggedTensor.from_tensor(given[column], lengths=tf.cast(lengths, tf.int64))
        return give(tuned, raw)

    return tf.function(serve, input_signature=inputs, autograph=False)


def _inputs(task: Task, column: str) -> list[tf.TensorSpec]:
    if column not in task.list_columns:
        return [tf.TensorSpec([None], tf.string, column)]
    return [tf.TensorSpec([None, None], tf.string, column), tf.TensorSpec([None], tf.int32, count_name(column))]


def _of_examples(tuned: FineTuned, columns: tuple[str, ...], give: Give, name: str) -> Any:
    """Makes a function of serialized `tf.train.Example`; its features are the columns, of one or more strings."""
    optional = tuned.task.optional_columns(tuned.spec)
    features = {
        column: tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64)
        if column in tuned.task.list_columns
        else tf.io.FixedLenFeature([], tf.string, "" if column in optional else None)
        for column in columns
    }

    def serve(examples: tf.Tensor) -> Any:
        return give(tuned, tf.io.parse_example(examples, features))

    return tf.function(serve, input_signature=[tf.TensorSpec([None], tf.string, name)], autograph=False)


def _answers(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    features = tuned.task.features(tuned.spec, tuned.tokenizer, raw)
    _, answers = tuned.task.predict(tuned.spec, tuned.network, features)
    return {**answers, "token_count": features.token_counts, "truncated": features.truncated}


def _classes(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """Outputs in the form of TensorFlow Serving's Classify: every row lists all classes."""
    scores = _answers(tuned, raw)["scores"]
    return {"classes": tf.broadcast_to(tf.constant(tuned.spec.labels), tf.shape(scores)), "scores": scores}


def _numbers(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    return {"outputs": _answers(tuned, raw)["score"]}


def _attention(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    features = tuned.task.features(tuned.spec, tuned.tokenizer, raw)
    inputs = {name: features.inputs[name] for name in IDS}
    num_tokens = tf.reduce_sum(inputs["padding_mask"], axis=1)
    if features.windows is not None:
        has_any = features.windows > 0  # a row without windows reads window 0; all its tokens are masked below
        firsts = tf.where(has_any, tf.cumsum(features.windows, exclusive=True), 0)
        inputs = {name: tf.gather(values, firsts) for name, values in inputs.items()}
        num_tokens = tf.where(has_any, tf.gather(num_tokens, firsts), 0)
    layers = tuned.model.backbone.look_inside(inputs)["attention_weights"]
    is_token = tf.sequence_mask(num_tokens, tf.shape(inputs["token_ids"])[1])
    tokens = tf.gather(tf.constant(tuned.tokenizer.vocabulary.tokens), inputs["token_ids"])
    weights = tf.where((is_token[:, :, None] & is_token[:, None])[:, None, None], tf.stack(layers, axis=1), 0)
    return {
        "tokens": tf.where(is_token, tokens, ""),
        "attention": tf.cast(weights, tf.float32),
        "num_tokens": num_tokens,
        "token_count": features.token_counts,
    }


def _sizes(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    features = tuned.task.features(tuned.spec, tuned.tokenizer, raw)
    return {"tokens": features.token_counts, "sequences": tuned.task.num_sequences(tuned.spec, features)}


def _of_ids(tuned: FineTuned, columns: tuple[str, ...]) -> Any:
    """Makes a function of token ids, int32 `(rows, length)` or `(rows, choices, length)`; rows begin with `[CLS]`."""
    rank = len(tuned.model.input[IDS[0]].shape)

    def serve(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        inputs = dict(zip(IDS, values, strict=True))
        # Keras would count a negative id from the end of the table.
        tf.debugging.assert_non_negative(inputs["token_ids"], "token_ids: an id is negative")
        # A server that batches pads a tensor with its first element: token_ids with [CLS], but the mask with 1. No text
        # ends in [CLS], so trailing [CLS] ids are padding.
        is_other = tf.cast(inputs["token_ids"] != tuned.tokenizer.vocabulary.cls_id, tf.int32)
        others_from_here = tf.cumsum(is_other, axis=-1, reverse=True)
        inputs["padding_mask"] = tf.where(others_from_here > 0, tf.minimum(inputs["padding_mask"], 1), 0)
        answers = tuned.task.predict_from_ids(tuned.spec, tuned.tokenizer, tuned.network, inputs)
        token_count = tf.reduce_sum(inputs["padding_mask"], axis=-1)
        return {**answers, "token_count": tf.reduce_max(token_count, axis=-1) if rank > 2 else token_count}

    specs = [tf.TensorSpec([None] * rank, tf.int32, name) for name in IDS]
    return tf.function(serve, input_signature=specs, autograph=False)
