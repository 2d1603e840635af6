"""The words to be tagged: those of an annotated corpus, or running text split as such corpora split it."""

from __future__ import annotations

import dataclasses

import tensorflow as tf
import tensorflow_text

# Not white space, punctuation, a symbol or a control character; nor an ideograph, because each is a separate word.
_LETTER = r"[^\s\pP\pS\pZ\pC\p{Han}]"
# Format characters do not split a word, because the tokenizer drops them.
_LETTERS = rf"{_LETTER}(?:(?:\p{{Cf}}|{_LETTER})*{_LETTER})?"
# Alternatives; the first that matches is used.
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
        texts: strings `(texts,)`. The texts that the offsets refer to.
        words: strings, ragged `(texts, None)`.
        starts, limits: int32 `(words,)`, of all texts one after another. The byte range of each word in its text:
            `starts` inclusive, `limits` exclusive.
    """

    texts: tf.Tensor
    words: tf.RaggedTensor
    starts: tf.Tensor
    limits: tf.Tensor


def split_text(texts: tf.Tensor) -> TaggedWords:
    """Splits running text as annotated corpora are split; runs inside a graph.

    Punctuation is separate at the edges of a word and part of it inside (`well-known`, `5.975,74`, `U.S.`).
    `'s` and similar endings are separate words; so is each ideograph.

    Args:
        texts: UTF-8 strings `(texts,)`.

    Example:
        >>> split_text(tf.constant(["(Germany's U.S. trade, 5.975,74.)"])).words.to_list()[0]
        [b'(', b'Germany', b"'s", b'U.S.', b'trade', b',', b'5.975,74', b'.', b')']
    """
    blank = tf.strings.regex_replace(texts, r"\x00", " ")  # the operation would stop at a NUL
    words, starts, limits = tensorflow_text.regex_split_with_offsets(
        blank, rf"{_WORD}|\s+|\pZ+", keep_delim_regex_pattern=r"[^\s\pZ](?:.|\n)*"
    )
    return TaggedWords(texts, words, tf.cast(starts.flat_values, tf.int32), tf.cast(limits.flat_values, tf.int32))


def given_words(words: tf.RaggedTensor) -> TaggedWords:
    """Words that are already split; each text is its words joined by spaces.

    Example:
        >>> found = given_words(tf.ragged.constant([["New", "York"], ["Rome"]]))
        >>> found.texts.numpy().tolist(), found.starts.numpy().tolist()
        ([b'New York', b'Rome'], [0, 4, 0])
    """
    lengths = tf.strings.length(words.flat_values)
    ends = tf.cumsum(lengths + 1)  # in all texts joined by spaces
    row = tf.cast(words.value_rowids(), tf.int32)
    before = tf.concat([[0], ends], axis=0)
    row_starts = tf.gather(before, tf.gather(tf.cast(words.row_starts(), tf.int32), row))
    starts = before[:-1] - row_starts
    texts = tf.strings.reduce_join(words, axis=-1, separator=" ")
    return TaggedWords(texts, words, starts, starts + lengths)
