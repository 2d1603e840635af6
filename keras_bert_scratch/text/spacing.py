"""Spacing: restores the usual spaces in a text whose words and punctuation are separated by spaces."""

from __future__ import annotations

import tensorflow as tf

_WORD = r"[\pL\pN]"

# Patterns and replacements, applied in this order to texts whose words and marks are all separated by spaces.
_RULES = (
    (rf"({_WORD}) ['] (s|t|re|ve|ll|d|m|S|T) ", r"\1'\2 "),
    (r'" ([^"]*[^" ]) ?"', r'"\1"'),
    (r"(^| )' ([^']*[^' ]) '", r"\1'\2'"),
    (r"([sS]) ' ", r"\1' "),  # the girls' team
    (r" ([.,!?;:)\]}%…’])", r"\1"),
    (r"([(\[{¿¡$#@„‚]) ", r"\1"),
    (rf"({_WORD})’ ({_WORD})", r"\1’\2"),
    (r"([0-9])([.,:]) ([0-9])", r"\1\2\3"),
    (r"([0-9])([.,:]) ([0-9])", r"\1\2\3"),
    # A part of a word before a comma, "and" or "or" keeps its hyphen at the end, one after "und" or "oder" in front.
    (rf"({_WORD}) - (and|or|und|oder|bis) ({_WORD})", r"\1- \2 \3"),
    (rf"({_WORD}) -,", r"\1-,"),
    (rf" (und|oder) - ({_WORD})", r" \1 -\2"),
    (rf"({_WORD}) - ({_WORD})", r"\1-\2"),
    (rf"({_WORD}) - ({_WORD})", r"\1-\2"),  # again, for a word of one letter between two hyphens
    (rf"({_WORD}) / ({_WORD})", r"\1/\2"),
    (rf"({_WORD}) _ ({_WORD})", r"\1_\2"),
    (r"„([^„“”]*[^„“” ]) ?([“”])", r"„\1\2"),
    (r"“ ([^“”]*[^“” ]) ?”", r"“\1”"),
    (r"([\"“”])" + rf" - ({_WORD})", r"\1-\2"),
)


def spaced(texts: tf.Tensor) -> tf.Tensor:
    """Texts with the spacing of ordinary writing, in English and related languages.

    Args:
        texts: strings `(batch,)`, with a space between any two words or punctuation marks.

    Example:
        >>> spaced(tf.constant(['He isn \\' t a " so - called " expert ( 3 , 5 % ) .'])).numpy()[0].decode()
        'He isn\\'t a "so-called" expert (3,5%).'
    """
    texts = tf.strings.regex_replace(texts, "$", " ")
    for pattern, replacement in _RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.strip(texts)
