"""Text to words as BERT splits it: cleaned, lower-cased, accents stripped, each punctuation mark and ideograph a word.

Uses TensorFlow's core operations on code points, so words are the same eagerly, in `tf.data` and in an exported model.
tf-text's normalizer is not suitable: it folds characters that BERT keeps (½ becomes three characters).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_bert_scratch.text import characters
from keras_bert_scratch.text.characters import PAGE, SPACE, CharacterTables, PagedTable, character_tables
from keras_bert_scratch.text.word_rules import WordRules


@dataclasses.dataclass(frozen=True)
class Words:
    """The words of a batch of texts, flat, with their positions in the texts.

    Args:
        characters: code points of all words, `tf.RaggedTensor` int32 `(words, None)`.
        text_splits: int64 `(texts + 1,)`: text `i` has the words from `text_splits[i]` to `text_splits[i + 1]`.
        starts, limits: for each character of `characters.flat_values`, the byte range of its text that it came from.
    """

    characters: tf.RaggedTensor
    text_splits: tf.Tensor
    starts: tf.Tensor
    limits: tf.Tensor

    def spelled(self) -> tf.Tensor:
        """The words as UTF-8 strings `(words,)`."""
        return tf.strings.unicode_encode(self.characters, "UTF-8")


def split_words(texts: tf.Tensor, rules: WordRules) -> Words:
    """Splits `texts` into words exactly as Google's `BasicTokenizer` does.

    Args:
        texts: UTF-8 strings `(texts,)`; bytes that are not UTF-8 are skipped.
        rules: the settings; Google's code has only `lowercase`.

    Example:
        >>> words = split_words(tf.constant(["It's Déjà\\tvu"]), WordRules(lowercase=True))
        >>> words.spelled().numpy().tolist()
        [b'it', b"'", b's', b'deja', b'vu']
    """
    return Words(*_graph_of(rules)(texts))


@functools.cache
def _graph_of(rules: WordRules) -> Callable[[tf.Tensor], tuple[Any, ...]]:
    """`_split_words`, traced once for all callers."""
    with tf.init_scope():  # not part of the first caller's graph
        split = tf.function(lambda texts: _split_words(texts, rules), autograph=False)
        return split.get_concrete_function(tf.TensorSpec([None], tf.string))


def _split_words(texts: tf.Tensor, rules: WordRules) -> tuple[Any, ...]:
    """The fields of `Words`."""
    tables = character_tables(rules)
    # The space at the end of each text separates its last word from the first word of the next text.
    decoded, starts = tf.strings.unicode_decode_with_offsets(tf.strings.join([texts, " "]), "UTF-8", errors="replace")
    code_points, starts = decoded.flat_values, tf.cast(starts.flat_values, tf.int32)
    codes = code_points + _look_up(tables.code_offsets, code_points)
    if rules.lowercase or rules.strip_accents:
        # All rare rules share one branch: a branch for each would cost more than it saves.
        codes, sources = tf.cond(
            tf.reduce_any((codes < characters.DROPPED) | (codes >= characters.UNUSUAL)),
            lambda: _by_all_rules(code_points, tables),
            lambda: _kept(codes),
        )
    else:
        codes, sources = _kept(codes)

    space, alone = codes == SPACE, (codes & characters.STANDS_ALONE) > 0
    after_boundary = tf.concat(
        [[True], (space | alone)[:-1]], axis=0
    )  # the character before is a space or a separate word
    letters = tf.where(~space)[:, 0]
    begins = tf.gather(alone | after_boundary, letters)
    word_starts = tf.where(begins)[:, 0]
    letter_sources = tf.gather(sources, letters)
    return (
        tf.RaggedTensor.from_row_splits(
            tf.gather(codes, letters) & characters.CODE_POINT,
            tf.concat([word_starts, tf.size(letters, tf.int64)[None]], axis=0),
            validate=False,
        ),
        tf.searchsorted(tf.gather(letter_sources, word_starts), decoded.row_splits, out_type=tf.int64),
        tf.gather(starts, letter_sources),
        # A text ends with the space that was added above, so each letter has a successor in the same text.
        tf.gather(starts, letter_sources + 1),
    )


def _look_up(table: PagedTable, code_points: tf.Tensor) -> tf.Tensor:
    page = tf.gather(table.page_of, code_points // PAGE)
    return tf.gather(table.pages.ravel(), page * PAGE + code_points % PAGE)


def _kept(codes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The codes of the characters that are not dropped, and their indices."""
    sources = tf.where(codes != characters.DROPPED)[:, 0]
    return tf.gather(codes, sources), sources


def _by_all_rules(code_points: tf.Tensor, tables: CharacterTables) -> tuple[tf.Tensor, tf.Tensor]:
    """The codes and their source indices, with final sigmas, expanded syllables and reordered marks."""
    code_points = _with_final_sigmas(code_points, tables)
    codes, sources = _expanded(*_kept(code_points + _look_up(tables.code_offsets, code_points)), tables)
    return _reordered(codes, sources, code_points, tables), sources


def _with_final_sigmas(code_points: tf.Tensor, tables: CharacterTables) -> tf.Tensor:
    """Replaces a capital sigma by the final small one where a cased letter precedes it and none follows it.

    Characters in between (accents, apostrophes, control characters) are ignored (Unicode, section 3.13).
    """
    casing = _look_up(tables.casing, code_points)
    counted = tf.where(casing != characters.IGNORED)[:, 0]
    cased = tf.gather(casing, counted) == characters.CASED
    is_sigma = tf.gather(code_points, counted) == characters.CAPITAL_SIGMA
    no_letter = tf.zeros([1], tf.bool)
    after_letter = tf.concat([no_letter, cased[:-1]], axis=0)
    before_letter = tf.concat([cased[1:], no_letter], axis=0)
    final = tf.boolean_mask(counted, is_sigma & after_letter & ~before_letter)
    return tf.tensor_scatter_nd_update(code_points, final[:, None], tf.fill(tf.shape(final), characters.FINAL_SIGMA))


def _expanded(codes: tf.Tensor, sources: tf.Tensor, tables: CharacterTables) -> tuple[tf.Tensor, tf.Tensor]:
    """Replaces each character that becomes several, such as a Korean syllable, by its parts."""
    several = codes < characters.DROPPED
    rows = tf.ragged.constant(tables.expansions, dtype=tf.int32, row_splits_dtype=tf.int64)
    row = tf.where(several, characters.DROPPED - 1 - codes, 0)
    counts = tf.where(several, tf.gather(rows.row_lengths(), row), 1)
    index = tf.repeat(tf.range(tf.size(codes)), tf.cast(counts, tf.int32))
    first = tf.gather(tf.cumsum(counts, exclusive=True), index)
    index_in_rows = tf.gather(rows.row_starts(), tf.gather(row, index)) + tf.range(tf.size(index, tf.int64)) - first
    written = tf.gather(rows.flat_values, tf.minimum(index_in_rows, rows.row_splits[-1] - 1))
    return tf.where(tf.gather(several, index), written, tf.gather(codes, index)), tf.gather(sources, index)


def _reordered(codes: tf.Tensor, sources: tf.Tensor, code_points: tf.Tensor, tables: CharacterTables) -> tf.Tensor:
    """Puts marks in canonical order (Unicode, section 3.11); few are out of order once accents are stripped."""
    order = _look_up(tables.combining_class, codes & characters.CODE_POINT)
    movable = order > 0

    def reordered() -> tf.Tensor:
        # No mark crosses a starter, whether that is kept or was removed.
        vanished = tf.gather(tf.cumsum(_look_up(tables.vanishing_starter, code_points)), sources)
        stretch = tf.cumsum(tf.cast(~movable, tf.int32)) + vanished
        largest_class = 256
        return tf.gather(
            codes, tf.argsort(tf.cast(stretch, tf.int64) * largest_class + tf.cast(order, tf.int64), stable=True)
        )

    return tf.cond(tf.reduce_any(movable[1:] & movable[:-1]), reordered, lambda: codes)
