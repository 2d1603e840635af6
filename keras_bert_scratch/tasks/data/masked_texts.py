"""Texts with `[MASK]`: their pieces, what may stand in a mask's place, and the texts with it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.hidden_pieces import Queries, positions_of, word_limits
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.windows import slices
from keras_bert_scratch.text.characters import IDEOGRAPHS
from keras_bert_scratch.text.vocabulary import MASK, SPECIAL_TOKENS, Vocabulary

_OTHER_SPELLING = re.compile(r"\[\s*mask\s*\]|<\s*mask\s*>", re.IGNORECASE)
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclasses.dataclass(frozen=True)
class MaskedTexts:
    """Texts parted at their masks.

    Args:
        parts: strings, ragged `(texts, None)`. What is before, between and behind the masks, as it is written.
        pieces: int32, ragged `(texts, None)`. The ids, `[MASK]` among them; of a text without any, a `[PAD]`.
        glued: bool, ragged `(texts, masks)`. Whether a mask stands right behind a letter, a digit or another mask.
    """

    parts: tf.RaggedTensor
    pieces: tf.RaggedTensor
    glued: tf.RaggedTensor

    @property
    def num_masks(self) -> tf.Tensor:
        """Of each text, int32 `(texts,)`."""
        return tf.cast(self.glued.row_lengths(), tf.int32)

    def queries(self, vocabulary: Vocabulary) -> tuple[Queries, tf.Tensor]:
        """What to ask about the texts: their masks, or of a text without masks every piece, with the rest of its word.

        Returns: the queries of a text one after another; how many each has, at least 1.
        """
        pieces = self.pieces
        row, position = tf.cast(pieces.value_rowids(), tf.int32), positions_of(pieces)
        is_mask = pieces.flat_values == vocabulary.mask_id
        asked = is_mask | tf.gather(self.num_masks == 0, row)
        limit = tf.where(is_mask, position + 1, word_limits(pieces, vocabulary))
        counts = tf.math.unsorted_segment_sum(tf.cast(asked, tf.int32), row, pieces.nrows())
        return Queries(row[asked], position[asked], limit[asked]), counts

    def mask_number(self, piece: tf.Tensor, vocabulary: Vocabulary) -> tf.Tensor:
        """Which of its text's masks a piece is, from 0, or -1.

        Args:
            piece: int32 of any shape. Numbers of pieces, all texts end to end; -1 for none.
            vocabulary: Vocabulary. Of the ids.
        """
        is_mask = self.pieces.flat_values == vocabulary.mask_id
        before = tf.gather(tf.cumsum(self.num_masks, exclusive=True), self.pieces.value_rowids())
        number = tf.where(is_mask, tf.cumsum(tf.cast(is_mask, tf.int32)) - 1 - before, -1)
        return tf.where(piece < 0, -1, tf.gather(number, tf.maximum(piece, 0)))

    def filled(self, tokens: tf.Tensor, vocabulary: Vocabulary) -> tf.Tensor:
        """The texts with tokens in the masks' places, all else as it is written.

        A piece that continues a word joins what is before it; so does a sign or an ideograph behind a letter, but a
        word keeps a blank's distance, as the model reads it.

        Args:
            tokens: int32 `(texts, fillings, masks)`. Ids; those beyond a text's masks do not count.
            vocabulary: Vocabulary. Of the ids.

        Returns: strings `(texts, fillings)`.
        """
        spelled = [token.removeprefix("##") for token in vocabulary.tokens]
        apart = [
            f" {token}" if token[:1].isalnum() and not _is_ideograph(token[0]) else word
            for token, word in zip(vocabulary.tokens, spelled, strict=True)
        ]
        glued = self.glued.to_tensor()[:, None, :]
        words = tf.where(glued, tf.gather(tf.constant(apart), tokens), tf.gather(tf.constant(spelled), tokens))
        there = tf.sequence_mask(self.glued.row_lengths(), tf.shape(tokens)[2])[:, None, :]
        parts, words = self.parts.to_tensor(), tf.where(there, words, "")
        ends = tf.strings.reduce_join(parts[:, -1:], axis=1)[:, None]
        parts, ends = (tf.repeat(strings, tf.shape(tokens)[1], axis=1) for strings in (parts[:, None, :-1], ends))
        return tf.strings.join([tf.strings.reduce_join(tf.strings.join([parts, words]), axis=2), ends])


def masked_texts(texts: tf.Tensor, tokenizer: Any) -> MaskedTexts:
    """Texts in which `[MASK]`, and no other special token, means what it says.

    Args:
        texts: strings `(texts,)`.
        tokenizer: BertTokenizer. Of the model.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "a"))
        >>> found = masked_texts(tf.constant(["Play[MASK] a [MASK][MASK]", ""]), BertTokenizer(vocabulary))
        >>> found.pieces.to_list(), found.glued.to_list()
        ([[5, 4, 7, 4, 4], [0]], [[True, False, True], []])
        >>> found.filled(tf.constant([[[6, 5, 6], [7, 7, 7]], [[0, 0, 0]] * 2]), vocabulary).numpy().tolist()
        [[b'Playing a playing', b'Play a a a a'], [b'', b'']]
    """
    parts = tf.strings.split(texts, sep=MASK)
    flat = parts.flat_values
    position = positions_of(parts)
    before_mask = position + 1 < tf.gather(tf.cast(parts.row_lengths(), tf.int32), parts.value_rowids())
    with_masks = tf.concat([tokenizer.tokenize(flat), _one_where(before_mask, tokenizer.vocabulary.mask_id)], axis=1)
    pieces = parts.with_flat_values(with_masks).merge_dims(1, 2)
    pieces = tf.concat([pieces, _one_where(pieces.row_lengths() == 0, tokenizer.vocabulary.pad_id)], axis=1)
    ends_in_word = tf.strings.regex_full_match(flat, r"(?s).*[\pL\pM\pN]")
    glued = parts.with_flat_values(ends_in_word | ((flat == "") & (position > 0)))
    return MaskedTexts(parts, pieces, glued[:, :-1])


def fillers(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Which ids may stand in a mask's place: where a word begins, and right behind a letter; bool `(vocab_size,)`.

    A special token may nowhere, nor one that no text can hold; a piece that continues a word only behind a letter.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]", "a", "##ing", "", "a"))
        >>> [np.flatnonzero(ids).tolist() for ids in fillers(vocabulary)]
        [[9], [7, 9]]
    """
    behind_letter = np.array(
        [
            bool(token)
            and token not in SPECIAL_TOKENS
            and not _UNUSED.fullmatch(token)
            and vocabulary.id(token) == number
            for number, token in enumerate(vocabulary.tokens)
        ]
    )
    return behind_letter & ~vocabulary.continues_word, behind_letter


def target_ids(targets: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """The pieces of each target; one that is a token of the vocabulary, such as `##ing`, is that token.

    Raises:
        UserError: a target has none, or an unknown one; names it.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> target_ids(["Playing", "##ing"], BertTokenizer(vocabulary))
        [[5, 6], [6]]
    """
    vocabulary = tokenizer.vocabulary
    fills = fillers(vocabulary)[1]
    with tf.init_scope():  # they are constants of every graph
        spelled = tokenizer.tokenize(list(targets)).to_list() if targets else []
    found = []
    for target, pieces in zip(targets, spelled, strict=True):
        pieces = [vocabulary.id(target)] if target.startswith("##") and target in vocabulary.tokens else pieces
        if not pieces or not all(fills[piece] for piece in pieces):
            problem = "has a piece that is not in the vocabulary" if pieces else "has no pieces"
            raise UserError(f"`targets`: {target!r} {problem}; give words that it can spell")
        found.append(pieces)
    return found


def with_targets(
    texts: MaskedTexts, targets: Sequence[Sequence[int]], vocabulary: Vocabulary
) -> tuple[tf.RaggedTensor, Queries, tf.Tensor]:
    """Texts with a target in the place of a gap, the other gaps as they are; a gap is a mask or several in a row.

    Args:
        texts: MaskedTexts.
        targets: Their pieces, as `target_ids` gives them.
        vocabulary: Vocabulary. Of the ids.

    Returns: the ids, ragged `(gaps * targets, None)`, all targets of a gap one after another; the queries of the chain
        rule, one for each piece of the target with the later ones hidden; the number of gaps of each text.
    """
    pieces = texts.pieces
    is_mask = tf.cast(pieces.flat_values == vocabulary.mask_id, tf.int32)
    row, position = tf.cast(pieces.value_rowids(), tf.int32), positions_of(pieces)
    lengths = tf.cast(pieces.row_lengths(), tf.int32)
    begins = (is_mask == 1) & ((tf.pad(is_mask, [[1, 0]])[:-1] == 0) | (position == 0))
    ends = (is_mask == 1) & ((tf.pad(is_mask, [[0, 1]])[1:] == 0) | (position + 1 == tf.gather(lengths, row)))
    num_gaps = tf.math.unsorted_segment_sum(tf.cast(begins, tf.int32), row, pieces.nrows())

    ids = tf.ragged.constant(targets, tf.int32, ragged_rank=1)
    which = tf.repeat(row[begins], len(targets))
    start, limit = tf.repeat(position[begins], len(targets)), tf.repeat(position[ends] + 1, len(targets))
    target = tf.math.floormod(tf.range(tf.size(which)), len(targets))
    before = slices(pieces, which, tf.zeros_like(start), start)
    sequences = tf.concat(
        [before, tf.gather(ids, target), slices(pieces, which, limit, tf.gather(lengths, which))], axis=1
    )

    num_pieces = tf.gather(tf.constant([len(found) for found in targets]), target)
    sequence = tf.repeat(tf.range(tf.size(which)), num_pieces)
    first = tf.gather(start, sequence)
    done = tf.range(tf.size(sequence)) - tf.gather(tf.cumsum(num_pieces, exclusive=True), sequence)
    return sequences, Queries(sequence, first + done, first + tf.gather(num_pieces, sequence)), num_gaps


def no_mask(text: str | bytes) -> BadRow | None:
    """What is wrong with a text that has no `[MASK]`.

    Example:
        >>> no_mask("The capital of [mask] is Paris.").problem
        "has '[mask]', but no [MASK]"
    """
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    if MASK in text:
        return None
    if found := _OTHER_SPELLING.search(text):
        return BadRow("no [MASK]", f"has {found[0]!r}, but no [MASK]", "write it as [MASK]")
    return BadRow("no [MASK]", "has no [MASK]", "write [MASK] where a word is to be filled in")


def _one_where(condition: tf.Tensor, value: int) -> tf.RaggedTensor:
    """Rows with this one value or none."""
    values = tf.fill([tf.math.count_nonzero(condition, dtype=tf.int32)], value)
    return tf.RaggedTensor.from_row_lengths(values, tf.cast(condition, tf.int64), validate=False)


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in IDEOGRAPHS)
