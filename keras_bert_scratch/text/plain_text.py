"""Text that needs no tables: tf-text's fast tokenizer splits it into the same words as Google's, several times faster.

Plain is ASCII without control characters, with dashes, quotes and dots: most of English. Nearly plain is what becomes
plain by a few string operations: accents that the rules strip, odd spaces, invisible characters.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_bert_scratch.text import characters
from keras_bert_scratch.text.characters import SPACE, character_tables
from keras_bert_scratch.text.word_rules import WordRules

PLAIN = "\t\n\r -~\u2010-\u2027"
# Where nearly plain characters are looked for: Latin letters, accents, general punctuation, the byte order mark.
NEARLY_PLAIN_BLOCKS = ((0x80, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0xFEFF, 0xFEFF))
ACCENTS = r"[\x{300}-\x{36F}]"


def is_plain(texts: tf.Tensor) -> tf.Tensor:
    """Which of the texts `(batch,)` need no change but capitals made small."""
    return tf.strings.regex_full_match(texts, f"[{PLAIN}]*")


def is_nearly_plain(texts: tf.Tensor, rules: WordRules) -> tf.Tensor:
    """Which of the texts `(batch,)` `make_plain` makes plain."""
    dropped, spaces, others = _nearly_plain(rules)
    return tf.strings.regex_full_match(texts, f"[{PLAIN}{dropped}{spaces}{others}]*")


def make_plain(texts: tf.Tensor, rules: WordRules) -> tf.Tensor:
    """Nearly plain texts with invisible characters and, where the rules strip them, accents gone.

    Example:
        >>> make_plain(tf.constant(["\\ufeffDéjà\\u00a0vu"]), WordRules(lowercase=True)).numpy()[0]
        b'deja vu'
    """
    dropped, spaces, _ = _nearly_plain(rules)
    texts = tf.strings.regex_replace(texts, f"[{dropped}]", "")
    texts = tf.strings.regex_replace(texts, f"[{spaces}]", " ")
    if rules.lowercase:
        texts = tf.strings.lower(texts, encoding="utf-8")
    if rules.strip_accents:
        # Imported here because all that only looks at a vocabulary does without tf-text.
        import tensorflow_text

        texts = tensorflow_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, ACCENTS, "")
    return texts


@functools.cache
def _nearly_plain(rules: WordRules) -> tuple[str, str, str]:
    """The characters that vanish, those that are spaces, and others that become ASCII or marks of punctuation.

    A letter that stays beyond ASCII is none of them: the quick tokenizer bounds words by bytes, Google's by characters.
    """
    dropped, spaces, others = [], [], []
    offsets = character_tables(rules).code_offsets
    for first, last in NEARLY_PLAIN_BLOCKS:
        for code_point in range(first, last + 1):
            code = code_point + offsets[code_point]
            if code == characters.DROPPED:
                dropped.append(code_point)  # accents of their own among them
            elif code == SPACE:
                spaces.append(code_point)
            elif code >= 0 and (code < 0x80 or code & characters.STANDS_ALONE):
                others.append(code_point)
    return tuple("".join(f"\\x{{{code_point:X}}}" for code_point in group) for group in (dropped, spaces, others))
