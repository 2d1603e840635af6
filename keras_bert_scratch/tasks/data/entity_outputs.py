"""Conversion of word tags to entities in texts, in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_bert_scratch.tasks.entities import BEGINS, ENDS, OUTSIDE
from keras_bert_scratch.tasks.tag_schemes import is_iob2, label_types
from keras_bert_scratch.text.offsets import characters_before
from keras_bert_scratch.text.tagged_words import TaggedWords


def entity_outputs(
    found: TaggedWords, tags: tf.Tensor, scores: tf.Tensor, labels: Sequence[str]
) -> dict[str, tf.Tensor]:
    """The words with their tags, and the entities that the tags encode, as outputs of a signature.

    An entity begins at a tag that marks a beginning, after a tag that marks an end, or where the type changes, as in
    `entities_of`. Tags that are not IOB2 are converted to it.

    Args:
        found: TaggedWords. The words of some texts.
        tags: int32 `(words,)`. The tags of all words, concatenated, as indices of `labels`.
        scores: float32 `(words,)`. The probability of each tag.
        labels: str per class. Tags of any scheme.

    Returns: tensors whose first axis is `rows`:
        `words`, `tags`: strings `(rows, words)`, padded with empty strings; `num_words`: int32;
        `entities`: strings `(rows, entities)`, cut from the text; `types`; `starts`, `ends`: their character offsets in
        the text, `ends` exclusive; `start_bytes`, `end_bytes`: the same in bytes; `scores`: the mean probability of the
        tags of their words; `num_entities`: int32.
    """
    types = label_types(labels)
    type_of = tf.constant([1 + types.index(label[2:]) if label != OUTSIDE else 0 for label in labels])
    begins = tf.constant([label[0] in BEGINS for label in labels])
    ends = tf.constant([label[0] in ENDS for label in labels])

    row_splits, row = found.words.row_splits, found.words.value_rowids()
    num_words = tf.size(tags)
    at_row_start = tf.range(num_words, dtype=tf.int64) == tf.gather(row_splits, row)
    type_ = tf.gather(type_of, tags)
    type_before = tf.where(at_row_start, 0, tf.concat([[0], type_[:-1]], axis=0))
    after_end = tf.concat([[False], tf.gather(ends, tags)[:-1]], axis=0)
    begin = (type_ > 0) & (tf.gather(begins, tags) | (type_ != type_before) | after_end)
    names = tf.gather(tf.constant(labels), tags)
    if not is_iob2(labels):
        iob2 = tf.constant([OUTSIDE, OUTSIDE, *(f"{prefix}-{name}" for name in types for prefix in "IB")])
        names = tf.gather(iob2, 2 * type_ + tf.cast(begin, tf.int32))

    first = tf.where(begin)[:, 0]
    breaks = tf.concat([tf.where(begin | (type_ == 0))[:, 0], [tf.cast(num_words, tf.int64)]], axis=0)
    last = tf.gather(breaks, tf.searchsorted(breaks, first, side="right")) - 1
    entity_row = tf.gather(row, first)
    num_entities = tf.math.bincount(
        tf.cast(entity_row, tf.int32), minlength=tf.cast(found.words.nrows(), tf.int32), dtype=tf.int32
    )[: found.words.nrows()]

    text = tf.gather(found.texts, entity_row)
    start, end = tf.gather(found.starts, first), tf.gather(found.limits, last)
    # The sums run over the whole batch: in float32 a score would depend on the number of words before it.
    sums = tf.cumsum(tf.concat([[0.0], tf.cast(scores, tf.float64)], axis=0))
    score = (tf.gather(sums, last + 1) - tf.gather(sums, first)) / tf.cast(last + 1 - first, tf.float64)

    def by_row(values: tf.Tensor) -> tf.Tensor:
        return tf.RaggedTensor.from_row_lengths(values, num_entities, validate=False).to_tensor()

    return {
        "words": found.words.to_tensor(),
        "tags": found.words.with_flat_values(names).to_tensor(),
        "num_words": tf.cast(found.words.row_lengths(), tf.int32),
        "entities": by_row(tf.strings.substr(text, start, end - start)),
        "types": by_row(tf.gather(tf.constant(types), tf.gather(type_, first) - 1)),
        "starts": by_row(characters_before(text, start)),
        "ends": by_row(characters_before(text, end)),
        "start_bytes": by_row(start),
        "end_bytes": by_row(end),
        "scores": by_row(tf.cast(score, tf.float32)),
        "num_entities": num_entities,
    }
