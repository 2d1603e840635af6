"""Where spaces go when separate words and punctuation marks are joined."""

import pytest
import tensorflow as tf

from keras_bert_scratch.text.spacing import spaced

# Ordinary text: split into words and marks and joined again, it must be the same.
WRITTEN = [
    "The heron dives, then it rests.",
    "Two men (one in red) run; the third waits: why?",
    "It's the girl's dog, isn't it? They're late, we've said.",
    "The girls' team won.",
    'He calls it a "so-called" expert.',
    'A sign says "Stop!" in red.',
    "A black-and-white T-shirt costs $3.50 or 3,5 %.".replace(" %", "%"),
    "At 10:30 he ran 1,000 m.",
    "Ein Vor- und Nachteil, Hin- oder Rückweg.",
    "Er sagt: „Guten Tag“, und geht.",
    "Was ist das?! Nichts...",
    "A and/or B",
    "#5 in a [box] {of} things",
    "Der Mann trägt ein T-Shirt mit der Aufschrift „A-B“.",
    "an up-to-date e-mail",
    "",
    "word",
]


def apart(text: str) -> str:
    """Every word and every mark separated by a space, as WordPiece returns them."""
    characters = "".join(c if c.isalnum() or c == " " else f" {c} " for c in text)
    return " ".join(characters.split())


@pytest.mark.parametrize("text", WRITTEN)
def test_writing_is_restored(text):
    assert spaced(tf.constant([apart(text)])).numpy()[0].decode() == text


def test_spacing_is_stable():
    texts = tf.constant([apart(text) for text in WRITTEN])
    once = spaced(texts)
    assert spaced(once).numpy().tolist() == once.numpy().tolist()


def test_other_scripts_keep_their_words():
    text = "река синяя, 北 京 ½ ß"
    assert spaced(tf.constant([apart(text)])).numpy()[0].decode() == text
