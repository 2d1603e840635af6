"""Decoding of word tags as whole sequences, with a conditional random field over each sentence, in the graph."""

from __future__ import annotations

import tensorflow as tf

from keras_bert_scratch.layers.crf import best_tags, tag_probabilities


def tags_of_chains(
    logits: tf.Tensor, transitions: tf.Tensor, sentence: tf.Tensor, num_sentences: tf.Tensor, read: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The most probable tag sequence of each sentence, and the marginal probability of each of its tags.

    The chain of a sentence consists of those of its words that the model read, in any window.

    Args:
        logits: float32 `(words, tags)`. Logits of all words, concatenated.
        transitions: float32 `(1, tags, tags)`.
        sentence: int64 `(words,)`. The sentence of each word.
        num_sentences: int64 scalar.
        read: bool `(words,)`. Which words have logits.

    Returns: tags, int32 `(words,)`, and probabilities, float32 `(words,)`; both are 0 for words that were not read.
    """
    chains = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(logits, read), tf.boolean_mask(sentence, read), num_sentences, validate=False
    )
    lengths = chains.row_lengths()
    # One extra position, because the outputs of a loop with zero steps cannot be stacked.
    padded = tf.pad(chains.to_tensor(), [[0, 0], [0, 1], [0, 0]])
    tags = best_tags(padded, transitions, lengths)
    probabilities = tf.gather(tag_probabilities(padded, transitions, lengths), tags, batch_dims=2)
    in_chain = tf.sequence_mask(lengths, tf.shape(tags)[1])
    words, at = tf.shape(read), tf.cast(tf.where(read), tf.int32)
    return (
        tf.scatter_nd(at, tf.boolean_mask(tags, in_chain), words),
        tf.scatter_nd(at, tf.boolean_mask(probabilities, in_chain), words),
    )
