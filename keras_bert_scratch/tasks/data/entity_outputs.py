"""Tags of words to entities of texts, in the graph."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from keras_bert_scratch.tasks.entities import OUTSIDE
from keras_bert_scratch.text.offsets import characters_before
from keras_bert_scratch.text.tagged_words import TaggedWords


def entity_outputs(
    found: TaggedWords, tags: tf.Tensor, scores: tf.Tensor, labels: Sequence[str]
) -> dict[str, tf.Tensor]:
    """The words with their tags, and the entities that these spell, as outputs of a signature.

    An entity begins at a `B-` tag, or where an `I-` tag follows another type's or none, as `conlleval` reads them.

    Args:
        found: TaggedWords. The words of some texts.
        tags: int32 `(words,)`. Of all words in a row, an index of `labels`.
        scores: float32 `(words,)`. The probability of each tag.
        labels: str per class. Tags of IOB2.

    Returns: with `rows` first in each,
        `words`, `tags`: strings `(rows, words)`, then empty ones; `num_words`: int32;
        `entities`: strings `(rows, entities)`, cut from the text; `types`; `starts`, `ends`: their characters in the
        text, from `starts` to before `ends`; `start_bytes`, `end_bytes`: their bytes; `scores`: the mean probability of
        their words' tags; `num_entities`: int32.
    """
    types = sorted({label[2:] for label in labels if label != OUTSIDE})
    type_of = tf.constant([1 + types.index(label[2:]) if label != OUTSIDE else 0 for label in labels])
    begins = tf.constant([label[0] == "B" for label in labels])

    row_splits, row = found.words.row_splits, found.words.value_rowids()
    num_words = tf.size(tags)
    at_row_start = tf.range(num_words, dtype=tf.int64) == tf.gather(row_splits, row)
    type_ = tf.gather(type_of, tags)
    type_before = tf.where(at_row_start, 0, tf.concat([[0], type_[:-1]], axis=0))
    begin = (type_ > 0) & (tf.gather(begins, tags) | (type_ != type_before))

    first = tf.where(begin)[:, 0]
    breaks = tf.concat([tf.where(begin | (type_ == 0))[:, 0], [tf.cast(num_words, tf.int64)]], axis=0)
    last = tf.gather(breaks, tf.searchsorted(breaks, first, side="right")) - 1
    entity_row = tf.gather(row, first)
    num_entities = tf.math.bincount(
        tf.cast(entity_row, tf.int32), minlength=tf.cast(found.words.nrows(), tf.int32), dtype=tf.int32
    )[: found.words.nrows()]

    text = tf.gather(found.texts, entity_row)
    start, end = tf.gather(found.starts, first), tf.gather(found.limits, last)
    # Sums over the whole batch: in float32 a score would depend on how many words stand before it.
    sums = tf.cumsum(tf.concat([[0.0], tf.cast(scores, tf.float64)], axis=0))
    score = (tf.gather(sums, last + 1) - tf.gather(sums, first)) / tf.cast(last + 1 - first, tf.float64)

    def by_row(values: tf.Tensor) -> tf.Tensor:
        return tf.RaggedTensor.from_row_lengths(values, num_entities, validate=False).to_tensor()

    return {
        "words": found.words.to_tensor(),
        "tags": found.words.with_flat_values(tf.gather(tf.constant(labels), tags)).to_tensor(),
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
