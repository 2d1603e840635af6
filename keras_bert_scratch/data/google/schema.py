"""The `google` schema: a record is a finished example with pairs and masks, as Google's script writes them.

A record is a `tf.train.Example`. Its int64 features: `input_ids`, `input_mask` and `segment_ids`, `max_length` values
each; `masked_lm_positions` and `masked_lm_ids`, `max_predictions` each; `next_sentence_labels`, one, 1 for a random B.
Its float feature: `masked_lm_weights`, `max_predictions` values, 1 for a prediction, 0 where the row has fewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

PER_TOKEN = ("input_ids", "input_mask", "segment_ids")
PER_PREDICTION = ("masked_lm_positions", "masked_lm_ids", "masked_lm_weights")
LABEL = "next_sentence_labels"
FEATURES = (*PER_TOKEN, *PER_PREDICTION, LABEL)

# Feature name to int64 or float32 `(examples, values)`.
Examples = dict[str, np.ndarray]


class ExampleSize(NamedTuple):
    """How many values the features of an example have.

    Args:
        max_length: int. Values of the features that have one per token.
        max_predictions: int. Values of the features that have one per prediction.
    """

    max_length: int
    max_predictions: int

    def of(self, feature: str) -> int:
        """How many values `feature` has."""
        return self.max_length if feature in PER_TOKEN else self.max_predictions if feature in PER_PREDICTION else 1


def encode_examples(examples: Examples) -> Iterator[bytes]:
    """Each example as a serialised `tf.train.Example`; the same examples give the same bytes.

    Example:
        >>> example = {name: np.ones((1, ExampleSize(8, 2).of(name)), int) for name in FEATURES}
        >>> [len(record) for record in encode_examples(example)]
        [209]
    """
    columns = [examples[name].tolist() for name in FEATURES]
    for row in zip(*columns, strict=True):
        example = tf.train.Example()
        feature = example.features.feature
        for name, values in zip(FEATURES, row, strict=True):
            kind = feature[name].float_list if name == "masked_lm_weights" else feature[name].int64_list
            kind.value.extend(values)
        yield example.SerializeToString(deterministic=True)


def decode_examples(records: Sequence[bytes], size: ExampleSize) -> Examples:
    """Decodes what `encode_examples` or Google's script wrote.

    Raises:
        ValueError: a record is not of the schema, or of another size; `fault_of` tells what is wrong.

    Example:
        >>> example = {name: np.ones((1, ExampleSize(8, 2).of(name)), int) for name in FEATURES}
        >>> decode_examples(list(encode_examples(example)), ExampleSize(8, 2))["input_ids"].shape
        (1, 8)
    """
    schema = {
        name: tf.io.FixedLenFeature([size.of(name)], tf.float32 if name == "masked_lm_weights" else tf.int64)
        for name in FEATURES
    }
    try:
        parsed = tf.io.parse_example(tf.constant(records, tf.string), schema)
    except tf.errors.InvalidArgumentError:
        raise ValueError("does not match the google schema: a feature has another type or number of values") from None
    examples = {name: values.numpy() for name, values in parsed.items()}
    if _out_of_range(examples, size).any():
        raise ValueError("contains a mask or label other than 0 and 1, or a position outside its tokens")
    return examples


def fault_of(record: bytes, size: ExampleSize) -> str | None:
    """Why a record is not an example of this size; `None` if it is one."""
    try:
        found = size_of(record)
        if found != size:
            return (
                f"has {found.max_length} tokens and {found.max_predictions} predictions, but the others have "
                f"{size.max_length} and {size.max_predictions}"
            )
        decode_examples([record], size)
    except ValueError as error:
        return str(error)
    return None


def size_of(record: bytes) -> ExampleSize:
    """The size of a record.

    Raises:
        ValueError: it is not of the schema.

    Example:
        >>> example = {name: np.ones((1, ExampleSize(8, 2).of(name)), int) for name in FEATURES}
        >>> size_of(next(encode_examples(example)))
        ExampleSize(max_length=8, max_predictions=2)
    """
    try:
        feature = tf.train.Example.FromString(record).features.feature
    except Exception:  # the exception depends on protobuf's implementation
        raise ValueError("is not a tf.train.Example") from None
    lacking = [name for name in FEATURES if name not in feature]
    if lacking:
        raise ValueError(f"does not match the google schema: it lacks {', '.join(lacking)}")
    size = ExampleSize(*(len(feature[name].int64_list.value) for name in ("input_ids", "masked_lm_positions")))
    if 0 in size:
        raise ValueError("does not match the google schema: it is empty")
    return size


def _out_of_range(examples: Examples, size: ExampleSize) -> np.ndarray:
    """Which examples hold a mask or label other than 0 and 1, or a position outside the row; bool `(examples,)`."""
    limits = {"input_mask": 2, "segment_ids": 2, LABEL: 2, "masked_lm_positions": size.max_length}
    return np.any(
        [((examples[name] < 0) | (examples[name] >= limit)).any(axis=1) for name, limit in limits.items()], axis=0
    )
