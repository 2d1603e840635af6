"""The signatures of an exported model: what each of them takes, and the graph that answers."""

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
    count_of,
)
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import Task


def endpoints_of(tuned: FineTuned) -> dict[str, Any]:
    """The signatures by name, concrete functions.

    Each input and output has the rows first, lists are padded to the longest and come with a count. So a server may
    join the rows of several requests to one batch, and give each its own part of the outputs.

    Args:
        tuned: FineTuned. With the `network` that answers.
    """
    forms = columns_of(tuned)
    by_ids = _of_ids(tuned, forms.pop(SERVE_IDS)).get_concrete_function()
    return {**_of_text(tuned, forms, {CLASSIFY: _classes, REGRESS: _numbers}), SERVE_IDS: by_ids}


def attention_of(tuned: FineTuned) -> Any:
    """A further signature of the columns: each row's tokens and, in each layer and head, how they look at each other.

    Of a row that is read in windows it is about the first one.

    Raises:
        UserError: a row of the task is no single sequence of tokens.
    """
    if tuned.task.teacher_forced or len(tuned.model.input[IDS[0]].shape) > 2:
        raise UserError(f"`attention`: a row of {tuned.spec.task} is no single sequence; leave it out")
    first, *_ = tuned.task.forms(tuned.spec)
    return _of_columns(tuned, first, _attention).get_concrete_function()


def token_counters_of(tuned: FineTuned) -> dict[str, Any]:
    """By signature of text, a concrete function of the same inputs that only tells how many tokens each row has."""
    forms = {name: columns for name, columns in columns_of(tuned).items() if name != SERVE_IDS}
    return _of_text(tuned, forms, dict.fromkeys(forms, _token_counts))


def columns_of(tuned: FineTuned) -> dict[str, tuple[str, ...]]:
    """By signature the columns of text that it is asked about, or that its examples or tokens are made of."""
    first, *others = tuned.task.forms(tuned.spec)
    named = {"_".join(columns): columns for columns in others}
    by_examples = [SERVE_EXAMPLES, tuned.task.method] if tuned.task.method else [SERVE_EXAMPLES]
    return {SIGNATURE: first, **named, **dict.fromkeys(by_examples, first), SERVE_IDS: first}


Give = Callable[[FineTuned, Mapping[str, Any]], Any]  # what is given for the columns of some rows


def _of_text(tuned: FineTuned, forms: Mapping[str, tuple[str, ...]], give: Mapping[str, Give]) -> dict[str, Any]:
    """`give` has by signature what it gives, where not the answers."""
    functions = {}
    for name, columns in forms.items():
        given = give.get(name, _answers)
        if name in OF_EXAMPLES:
            functions[name] = _of_examples(tuned, columns, given, OF_EXAMPLES[name])
        else:
            functions[name] = _of_columns(tuned, columns, given)
    return {name: function.get_concrete_function() for name, function in functions.items()}


def _of_columns(tuned: FineTuned, columns: tuple[str, ...], give: Give) -> Any:
    """From strings `(rows,)` by column; lists are `(rows, None)`, and have the number of each row's strings beside."""
    inputs = [spec for column in columns for spec in _inputs(tuned.task, column)]
    lists = [column for column in columns if column in tuned.task.list_columns]

    def serve(*values: tf.Tensor) -> Any:
        given = dict(zip([spec.name for spec in inputs], values, strict=True))
        raw = {column: given[column] for column in columns}
        for column in lists:
            lengths = tf.clip_by_value(given[count_of(column)], 0, tf.shape(given[column])[1])
            raw[column] = tf.RaggedTensor.from_tensor(given[column], lengths=tf.cast(lengths, tf.int64))
        return give(tuned, raw)

    return tf.function(serve, input_signature=inputs, autograph=False)


def _inputs(task: Task, column: str) -> list[tf.TensorSpec]:
    if column not in task.list_columns:
        return [tf.TensorSpec([None], tf.string, column)]
    return [tf.TensorSpec([None, None], tf.string, column), tf.TensorSpec([None], tf.int32, count_of(column))]


def _of_examples(tuned: FineTuned, columns: tuple[str, ...], give: Give, name: str) -> Any:
    """From serialized `tf.train.Example`, whose features are the columns, with one string each or several."""
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
    _, answers = tuned.task.asked(tuned.spec, tuned.network, features)
    return {**answers, "token_count": features.token_counts, "truncated": features.truncated}


def _classes(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    """As TensorFlow Serving's Classify wants them: every row names all classes."""
    scores = _answers(tuned, raw)["scores"]
    return {"classes": tf.broadcast_to(tf.constant(tuned.spec.labels), tf.shape(scores)), "scores": scores}


def _numbers(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    return {"outputs": _answers(tuned, raw)["score"]}


def _attention(tuned: FineTuned, raw: Mapping[str, Any]) -> dict[str, tf.Tensor]:
    features = tuned.task.features(tuned.spec, tuned.tokenizer, raw)
    inputs = {name: features.inputs[name] for name in IDS}
    num_tokens = tf.reduce_sum(inputs["padding_mask"], axis=1)
    if features.windows is not None:
        has_any = features.windows > 0  # a row without windows has no tokens, whatever the window after it holds
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


def _token_counts(tuned: FineTuned, raw: Mapping[str, Any]) -> tf.Tensor:
    return tuned.task.features(tuned.spec, tuned.tokenizer, raw).token_counts


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
