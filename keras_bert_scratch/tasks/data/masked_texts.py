"""Texts with `[MASK]`: their pieces, the tokens that may fill a mask, and the filled texts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.tasks.data.lines import BadRow
from keras_bert_scratch.tasks.data.masked_pieces import Queries, positions_of, word_limits
from keras_bert_scratch.tasks.data.windows import slices
from keras_bert_scratch.text.characters import IDEOGRAPHS
from keras_bert_scratch.text.vocabulary import MASK, SPECIAL_TOKENS, Vocabulary

_OTHER_SPELLING = re.compile(r"\[\s*mask\s*\]|<\s*mask\s*>", re.IGNORECASE)
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclasses.dataclass(frozen=True)
class MaskedTexts:
    """Texts split at their masks.

    Args:
        parts: strings, ragged `(texts, None)`. The unchanged text before, between and after the masks.
        pieces: int32, ragged `(texts, None)`. The ids, including `[MASK]`; one `[PAD]` for a text without pieces.
        attached: bool, ragged `(texts, masks)`. Whether a mask directly follows a letter, a digit or another mask.
    """

    parts: tf.RaggedTensor
    pieces: tf.RaggedTensor
    attached: tf.RaggedTensor

    @property
    def num_masks(self) -> tf.Tensor:
        """Number of masks in each text, int32 `(texts,)`."""
        return tf.cast(self.attached.row_lengths(), tf.int32)

    def queries(self, vocabulary: Vocabulary) -> tuple[Queries, tf.Tensor]:
        """The pieces to predict: the masks, or in a text without masks every piece, hidden with the rest of its word.

        Returns: the queries, those of a text consecutive; the number of queries of each text, at least 1.
        """
        pieces = self.pieces
        row, position = tf.cast(pieces.value_rowids(), tf.int32), positions_of(pieces)
        is_mask = pieces.flat_values == vocabulary.mask_id
        asked = is_mask | tf.gather(self.num_masks == 0, row)
        limit = tf.where(is_mask, position + 1, word_limits(pieces, vocabulary))
        counts = tf.math.unsorted_segment_sum(tf.cast(asked, tf.int32), row, pieces.nrows())
        return Queries(row[asked], position[asked], limit[asked]), counts

    def mask_number(self, piece: tf.Tensor, vocabulary: Vocabulary) -> tf.Tensor:
        """The index of a piece among the masks of its text, from 0; -1 if it is not a mask.

        Args:
            piece: int32 of any shape. Indices into the concatenated pieces of all texts; -1 for no piece.
            vocabulary: Vocabulary. The vocabulary of the ids.
        """
        is_mask = self.pieces.flat_values == vocabulary.mask_id
        before = tf.gather(tf.cumsum(self.num_masks, exclusive=True), self.pieces.value_rowids())
        number = tf.where(is_mask, tf.cumsum(tf.cast(is_mask, tf.int32)) - 1 - before, -1)
        return tf.where(piece < 0, -1, tf.gather(number, tf.maximum(piece, 0)))

    def filled(self, tokens: tf.Tensor, vocabulary: Vocabulary) -> tf.Tensor:
        """Replaces the masks of the texts by tokens and leaves the rest unchanged.

        A piece that continues a word is joined to the text before it, and so is a punctuation mark or an ideograph
        after a letter. A word after a letter is separated by a blank, as the model reads it.

        Args:
            tokens: int32 `(texts, fillings, masks)`. Ids; those beyond a text's masks are ignored.
            vocabulary: Vocabulary. The vocabulary of the ids.

        Returns: strings `(texts, fillings)`.
        """
        spelled = [token.removeprefix("##") for token in vocabulary.tokens]
        apart = [
            f" {token}" if token[:1].isalnum() and not _is_ideograph(token[0]) else word
            for token, word in zip(vocabulary.tokens, spelled, strict=True)
        ]
        attached = self.attached.to_tensor()[:, None, :]
        words = tf.where(attached, tf.gather(tf.constant(apart), tokens), tf.gather(tf.constant(spelled), tokens))
        there = tf.sequence_mask(self.attached.row_lengths(), tf.shape(tokens)[2])[:, None, :]
        parts, words = self.parts.to_tensor(), tf.where(there, words, "")
        ends = tf.strings.reduce_join(parts[:, -1:], axis=1)[:, None]
        parts, ends = (tf.repeat(strings, tf.shape(tokens)[1], axis=1) for strings in (parts[:, None, :-1], ends))
        return tf.strings.join([tf.strings.reduce_join(tf.strings.join([parts, words]), axis=2), ends])


def masked_texts(texts: tf.Tensor, tokenizer: Any) -> MaskedTexts:
    """Tokenizes texts in which `[MASK]` is the only string that is read as a special token.

    Args:
        texts: strings `(texts,)`.
        tokenizer: BertTokenizer. The model's tokenizer.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "a"))
        >>> found = masked_texts(tf.constant(["Play[MASK] a [MASK][MASK]", ""]), BertTokenizer(vocabulary))
        >>> found.pieces.to_list(), found.attached.to_list()
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
    attached = parts.with_flat_values(ends_in_word | ((flat == "") & (position > 0)))
    return MaskedTexts(parts, pieces, attached[:, :-1])


def fillers(vocabulary: Vocabulary) -> tuple[np.ndarray, np.ndarray]:
    """Which ids may fill a mask: one that begins a word, and one directly after a letter; bool `(vocab_size,)` each.

    Special tokens and tokens that no text can contain are never allowed; `##` pieces only directly after a letter.

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
    """The pieces of each target; a token of the vocabulary that starts with `##`, such as `##ing`, stays one piece.

    Raises:
        UserError: a target has no pieces, or an unknown piece; the message names the target.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> target_ids(["Playing", "##ing"], BertTokenizer(vocabulary))
        [[5, 6], [6]]
    """
    vocabulary = tokenizer.vocabulary
    fills = fillers(vocabulary)[1]
    with tf.init_scope():  # the ids are constants in every graph
        spelled = tokenizer.tokenize(list(targets)).to_list() if targets else []
    found = []
    for target, pieces in zip(targets, spelled, strict=True):
        pieces = [vocabulary.id(target)] if target.startswith("##") and target in vocabulary.tokens else pieces
        if not pieces or not all(fills[piece] for piece in pieces):
            problem = "has a piece that is not in the vocabulary" if pieces else "has no pieces"
            raise UserError(f"`targets`: {target!r} {problem}; give words that the vocabulary can spell")
        found.append(pieces)
    return found


def with_targets(
    texts: MaskedTexts, targets: Sequence[Sequence[int]], vocabulary: Vocabulary
) -> tuple[tf.RaggedTensor, Queries, tf.Tensor]:
    """Puts each target into each gap of the texts; a gap is one mask or several consecutive ones.

    Args:
        texts: MaskedTexts. In each result, the other gaps keep their masks.
        targets: The pieces of each target, as returned by `target_ids`.
        vocabulary: Vocabulary. The vocabulary of the ids.

    Returns: the ids, ragged `(gaps * targets, None)`, with all targets of a gap consecutive; the queries for the chain
        rule, one for each piece of the target with the later pieces hidden; the number of gaps in each text.
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
    """The fault of a text that has no `[MASK]`; `None` if it has one.

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
    """Ragged rows: `[value]` where the condition is true, else `[]`."""
    values = tf.fill([tf.math.count_nonzero(condition, dtype=tf.int32)], value)
    return tf.RaggedTensor.from_row_lengths(values, tf.cast(condition, tf.int64), validate=False)


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in IDEOGRAPHS)
