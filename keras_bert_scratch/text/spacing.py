"""Spacing: where the spaces of a written text are, given its words and punctuation one by one."""

from __future__ import annotations

import tensorflow as tf

_WORD = r"[\pL\pN]"

# Patterns and what takes their place, one after another, of texts whose words and marks all stand apart.
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
    # A word that ends in a hyphen shares its end with one behind a comma, "and" or "or"; or begins with the other's.
    (rf"({_WORD}) - (and|or|und|oder|bis) ({_WORD})", r"\1- \2 \3"),
    (rf"({_WORD}) -,", r"\1-,"),
    (rf" (und|oder) - ({_WORD})", r" \1 -\2"),
    (rf"({_WORD}) - ({_WORD})", r"\1-\2"),
    (rf"({_WORD}) - ({_WORD})", r"\1-\2"),  # a word of one letter between two hyphens
    (rf"({_WORD}) / ({_WORD})", r"\1/\2"),
    (rf"({_WORD}) _ ({_WORD})", r"\1_\2"),
    (r"„([^„“”]*[^„“” ]) ?([“”])", r"„\1\2"),
    (r"“ ([^“”]*[^“” ]) ?”", r"“\1”"),
    (r"([\"“”])" + rf" - ({_WORD})", r"\1-\2"),
)


def spaced(texts: tf.Tensor) -> tf.Tensor:
    """Texts with spaces where writing has them, in English and its relatives.

    Args:
        texts: strings `(batch,)`, in which a space stands between any two words and marks.

    Example:
        >>> spaced(tf.constant(['He isn \\' t a " so - called " expert ( 3 , 5 % ) .'])).numpy()[0].decode()
        'He isn\\'t a "so-called" expert (3,5%).'
    """
    texts = tf.strings.regex_replace(texts, "$", " ")
    for pattern, replacement in _RULES:
        texts = tf.strings.regex_replace(texts, pattern, replacement)
    return tf.strings.strip(texts)
