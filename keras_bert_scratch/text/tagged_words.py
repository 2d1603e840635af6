"""The words that tags belong to: those of an annotated corpus, or running text parted as such corpora part it."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_text

# What is neither blank, punctuation, symbol nor control character; ideographs are words by themselves.
_LETTER = r"[^\s\pP\pS\pZ\pC\p{Han}]"
# Format characters, of which the tokenizer makes nothing, part no word.
_LETTERS = rf"{_LETTER}(?:(?:\p{{Cf}}|{_LETTER})*{_LETTER})?"
# Alternatives, the first that fits counts.
_WORD = "|".join(
    (
        r"\p{Han}",
        r"(?:\p{L}\.){2,}",  # U.S.
        r"['’](?:s|S|re|ve|ll|d|m|t)\b",  # Germany 's
        rf"\p{{Lu}}['’]\p{{Lu}}(?:{_LETTERS})?",  # O'Brien
        rf"{_LETTERS}(?:[-.&/_@:+]{_LETTERS}|,\p{{N}}+(?:\.\p{{N}}+)?)*",  # well-known, 5.975,74
        r"\S",
    )
)


@dataclasses.dataclass(frozen=True)
class TaggedWords:
    """The words of some texts.

    Args:
        texts: strings `(texts,)`. What offsets count in.
        words: strings, ragged `(texts, None)`.
        starts, limits: int32 `(words,)`, of all words in a row. The bytes of its text that each word is: from its start
            to before its limit.
    """

    texts: tf.Tensor
    words: tf.RaggedTensor
    starts: tf.Tensor
    limits: tf.Tensor


def split_text(texts: tf.Tensor) -> TaggedWords:
    """Parts running text as annotated corpora are parted, in the graph.

    Punctuation stands alone at the edges of a word and belongs to it inside (`well-known`, `5.975,74`, `U.S.`);
    `'s` and its like are words; so is each ideograph.

    Args:
        texts: UTF-8 strings `(texts,)`.

    Example:
        >>> split_text(tf.constant(["(Germany's U.S. trade, 5.975,74.)"])).words.to_list()[0]
        [b'(', b'Germany', b"'s", b'U.S.', b'trade', b',', b'5.975,74', b'.', b')']
    """
    blank = tf.strings.regex_replace(texts, r"\x00", " ")  # at which the operation would end
    words, starts, limits = tensorflow_text.regex_split_with_offsets(
        blank, rf"{_WORD}|\s+|\pZ+", keep_delim_regex_pattern=r"[^\s\pZ](?:.|\n)*"
    )
    return TaggedWords(texts, words, tf.cast(starts.flat_values, tf.int32), tf.cast(limits.flat_values, tf.int32))


def given_words(words: tf.RaggedTensor) -> TaggedWords:
    """Words that are parted already; their text is the words joined by blanks.

    Example:
        >>> found = given_words(tf.ragged.constant([["New", "York"], ["Rome"]]))
        >>> found.texts.numpy().tolist(), found.starts.numpy().tolist()
        ([b'New York', b'Rome'], [0, 4, 0])
    """
    lengths = tf.strings.length(words.flat_values)
    ends = tf.cumsum(lengths + 1)  # in all texts joined by blanks
    row = tf.cast(words.value_rowids(), tf.int32)
    before = tf.concat([[0], ends], axis=0)
    row_starts = tf.gather(before, tf.gather(tf.cast(words.row_starts(), tf.int32), row))
    starts = before[:-1] - row_starts
    texts = tf.strings.reduce_join(words, axis=-1, separator=" ")
    return TaggedWords(texts, words, starts, starts + lengths)
