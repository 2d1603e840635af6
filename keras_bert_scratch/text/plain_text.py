"""Text that needs no character tables: tf-text's fast tokenizer splits it into Google's words, several times faster.

Plain text is ASCII without control characters (tabs and line breaks are allowed), plus dashes, quotes and dots: most
English. Nearly plain text also has accents that the rules strip, odd spaces or invisible characters; a few string
operations make it plain.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from keras_bert_scratch.text import characters
from keras_bert_scratch.text.characters import SPACE, character_tables
from keras_bert_scratch.text.word_rules import WordRules

PLAIN = "\t\n\r -~\u2010-\u2027"
# Blocks that may have nearly plain characters: Latin letters, accents, general punctuation, the byte order mark.
NEARLY_PLAIN_BLOCKS = ((0x80, 0x24F), (0x300, 0x36F), (0x1E00, 0x1EFF), (0x2000, 0x206F), (0xFEFF, 0xFEFF))
ACCENTS = r"[\x{300}-\x{36F}]"


def is_plain(texts: tf.Tensor) -> tf.Tensor:
    """Which of the texts `(batch,)` need no change except lower-casing."""
    return tf.strings.regex_full_match(texts, f"[{PLAIN}]*")


def is_nearly_plain(texts: tf.Tensor, rules: WordRules) -> tf.Tensor:
    """Which of the texts `(batch,)` the fast tokenizer can split after `make_plain`."""
    dropped, spaces, others = _nearly_plain(rules)
    return tf.strings.regex_full_match(texts, f"[{PLAIN}{dropped}{spaces}{others}]*")


def make_plain(texts: tf.Tensor, rules: WordRules) -> tf.Tensor:
    """Normalizes nearly plain texts: removes invisible characters and, if the rules strip them, accents.

    Example:
        >>> make_plain(tf.constant(["\\ufeffDéjà\\u00a0vu"]), WordRules(lowercase=True)).numpy()[0]
        b'deja vu'
    """
    dropped, spaces, _ = _nearly_plain(rules)
    texts = tf.strings.regex_replace(texts, f"[{dropped}]", "")
    texts = tf.strings.regex_replace(texts, f"[{spaces}]", " ")
    if rules.strip_accents:
        # Imported here because the rest of this module does not need tf-text.
        import tensorflow_text

        texts = tensorflow_text.normalize_utf8(texts, "NFD")
        texts = tf.strings.regex_replace(texts, ACCENTS, "")
    if rules.lowercase:
        # All letters are ASCII now. With `encoding="utf-8"` the result would depend on the machine's language: in
        # Turkish, I becomes \u0131.
        texts = tf.strings.lower(texts)
    return texts


@functools.cache
def _nearly_plain(rules: WordRules) -> tuple[str, str, str]:
    """The characters that are dropped, those that become spaces, and others that become ASCII or punctuation.

    Letters that stay outside ASCII are excluded: the fast tokenizer limits words in bytes, Google's in characters.
    """
    dropped, spaces, others = [], [], []
    offsets = character_tables(rules).code_offsets
    for first, last in NEARLY_PLAIN_BLOCKS:
        for code_point in range(first, last + 1):
            code = code_point + offsets[code_point]
            if code == characters.DROPPED:
                dropped.append(code_point)  # combining accents among them
            elif code == SPACE:
                spaces.append(code_point)
            elif code >= 0 and (code < 0x80 or code & characters.STANDS_ALONE):
                others.append(code_point)
    return tuple("".join(f"\\x{{{code_point:X}}}" for code_point in group) for group in (dropped, spaces, others))
