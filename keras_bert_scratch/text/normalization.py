"""What BERT does to text before it looks up words: clean, lower-case, strip accents, part words from punctuation."""

from __future__ import annotations

import tensorflow as tf

# Characters that stand as words of their own: ASCII symbols and every Unicode punctuation mark, and the CJK ideographs
# (the ranges of Google's `_is_punctuation` and `_is_chinese_char`).
PUNCTUATION = r"[!-/:-@\[-`{-~\p{P}]"
IDEOGRAPH = (
    r"[\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}"
    r"\x{2B740}-\x{2B81F}\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}]"
)


def normalize(texts: tf.Tensor, lowercase: bool) -> tf.Tensor:
    """Drops control characters and, for an uncased vocabulary, capitals and accents.

    Built of TensorFlow's core string operations, not of tf-text's normalizer, which also folds characters that BERT
    keeps apart (it turns the fraction one half into three characters, the sharp s into two).

    Args:
        texts: UTF-8 strings of any shape.
        lowercase: whether the vocabulary is uncased.

    Returns: strings of the same shape.

    Example:
        >>> normalize(tf.constant(["Déjà\\tVu"]), lowercase=True).numpy()[0]
        b'deja vu'
    """
    texts = tf.strings.regex_replace(texts, r"[\t\n\r]", " ")
    texts = tf.strings.regex_replace(texts, r"[\p{Cc}\p{Cf}\x{FFFD}]", "")
    if lowercase:
        texts = tf.strings.lower(texts, encoding="utf-8")
        texts = _decompose(texts)
        texts = tf.strings.regex_replace(texts, r"\p{Mn}", "")
    return texts


def split_words(texts: tf.Tensor) -> tf.RaggedTensor:
    """Words of normalised `texts`: split at white space, each punctuation mark and ideograph a word of its own.

    Example:
        >>> split_words(tf.constant(["it's 5%"])).to_list()
        [[b'it', b"'", b's', b'5', b'%']]
    """
    texts = tf.strings.regex_replace(texts, f"({PUNCTUATION}|{IDEOGRAPH})", r" \1 ")
    texts = tf.strings.regex_replace(texts, r"[\p{Z}]+", " ")
    return tf.strings.split(texts)


def _decompose(texts: tf.Tensor) -> tf.Tensor:
    """Unicode's NFD form: letter, then its accents."""
    # Imported here because the operations above, and all that only looks at a vocabulary, do without tf-text.
    import tensorflow_text

    return tensorflow_text.normalize_utf8(texts, "NFD")
