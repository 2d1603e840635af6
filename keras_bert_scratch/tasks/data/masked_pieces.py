"""Rows that each ask for one piece of a sequence; `[MASK]` hides this piece and possibly later ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from keras_bert_scratch.tasks.data.texts import row_length
from keras_bert_scratch.tasks.data.windows import slices
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True)
class Queries:
    """Pieces that a model is asked to predict, int32 `(queries,)` each.

    Args:
        sequence: Index of the piece's sequence.
        position: Position of the piece in its sequence.
        limit: End (exclusive) of the hidden pieces, which start at `position`.
    """

    sequence: tf.Tensor
    position: tf.Tensor
    limit: tf.Tensor

    def gathered(self, numbers: tf.Tensor) -> Queries:
        """The queries with these numbers."""
        return Queries(*(tf.gather(values, numbers) for values in (self.sequence, self.position, self.limit)))


@dataclasses.dataclass(frozen=True)
class MaskedWindows:
    """Model inputs with one row per query.

    Args:
        inputs: dict. Inputs of `BertMaskedLM`, with one prediction per row.
        piece: int32 `(queries, length)`. The piece at each position of the row, as an index into the concatenated
            pieces of all sequences; -1 at `[CLS]`, `[SEP]` and padding.
        hidden: int32 `(queries,)`. The id to predict.
    """

    inputs: dict[str, tf.Tensor]
    piece: tf.Tensor
    hidden: tf.Tensor


def masked_windows(sequences: tf.RaggedTensor, queries: Queries, spec: Spec, vocabulary: Vocabulary) -> MaskedWindows:
    """Builds rows `[CLS] ... [MASK] ... [SEP]` that show each queried piece, masked, in its context.

    If a sequence is longer than a row, the row is centred on the piece, or, near an end of the sequence, holds as many
    of its first or last pieces as fit.

    Args:
        sequences: int32 ragged `(sequences, None)`. Ids without `[CLS]` and `[SEP]`.
        queries: Queries. The pieces to predict.
        spec: Spec. Its `max_length` limits the rows.
        vocabulary: Vocabulary. Provides the ids of the special tokens.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcde"))
        >>> queries = Queries(*(tf.constant([value]) for value in (0, 2, 4)))
        >>> spec = Spec("fill-mask", ("text",), max_length=6)
        >>> rows = masked_windows(tf.ragged.constant([[5, 6, 7, 8, 9]]), queries, spec, vocabulary)
        >>> rows.inputs["token_ids"].numpy().tolist(), rows.inputs["mask_positions"].numpy().tolist()
        ([[2, 5, 6, 4, 4, 3]], [[3]])
        >>> rows.piece.numpy().tolist()
        [[-1, 0, 1, 2, 3, -1]]
    """
    room = spec.max_length - 2
    lengths = tf.gather(tf.cast(sequences.row_lengths(), tf.int32), queries.sequence)
    start = tf.clip_by_value(queries.position - room // 2, 0, tf.maximum(lengths - room, 0))
    end = tf.minimum(start + room, lengths)
    length = row_length(end - start + 2, spec)
    shown = slices(sequences, queries.sequence, start, end)
    inputs: dict[str, Any] = pack_segments(shown, None, length, vocabulary)

    column = tf.range(length)[None, :]
    piece = column - 1 + start[:, None]  # in its sequence
    shows_piece = (column >= 1) & (piece < end[:, None])
    hidden = shows_piece & (piece >= queries.position[:, None]) & (piece < queries.limit[:, None])
    inputs["token_ids"] = tf.where(hidden, vocabulary.mask_id, inputs["token_ids"])
    inputs["mask_positions"] = (queries.position - start + 1)[:, None]
    first = tf.gather(tf.cast(sequences.row_starts(), tf.int32), queries.sequence)
    asked = tf.gather(sequences.flat_values, first + queries.position)
    return MaskedWindows(inputs, tf.where(shows_piece, first[:, None] + piece, -1), asked)


def word_limits(sequences: tf.RaggedTensor, vocabulary: Vocabulary) -> tf.Tensor:
    """For each piece of the concatenated sequences, the position in its sequence after the last piece of its word.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> word_limits(tf.ragged.constant([[5, 6, 5], [6, 6]]), vocabulary).numpy().tolist()
        [2, 2, 3, 2, 2]
    """
    row, position = tf.cast(sequences.value_rowids(), tf.int32), positions_of(sequences)
    continues = tf.gather(tf.constant(vocabulary.continues_word), sequences.flat_values) & (position > 0)
    word = tf.cumsum(tf.cast(~continues, tf.int32)) - 1
    last = tf.math.unsorted_segment_max(position, word, tf.size(row))  # there are no more words than pieces
    return tf.gather(last, word) + 1


def positions_of(sequences: tf.RaggedTensor) -> tf.Tensor:
    """For each piece of the concatenated sequences, its position in its sequence, int32."""
    starts = tf.gather(tf.cast(sequences.row_starts(), tf.int32), sequences.value_rowids())
    return tf.range(tf.size(sequences.flat_values)) - starts


def in_parts(ask: Any, inputs: dict[str, tf.Tensor], rows: int) -> tf.Tensor:
    """Calls `ask` on a limited number of rows at a time, so that its memory does not grow with their total number.

    Args:
        ask: callable. Maps a dict of inputs to a float32 tensor with a fixed shape per row.
        inputs: dict. Tensors with any number of rows.
        rows: int. Maximum number of rows in one call.

    Example:
        >>> in_parts(lambda inputs: inputs["x"] * 2.0, {"x": tf.constant([[1.0], [2.0], [3.0]])}, 2).numpy().tolist()
        [[2.0], [4.0], [6.0]]
    """
    total = tf.shape(next(iter(inputs.values())))[0]
    num_parts = tf.maximum((total + rows - 1) // rows, 1)

    def one(number: tf.Tensor, parts: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        some = {name: values[number * rows : (number + 1) * rows] for name, values in inputs.items()}
        return number + 1, parts.write(number, ask(some))

    # Parts differ in their number of rows.
    parts = tf.TensorArray(tf.float32, num_parts, infer_shape=False)
    _, parts = tf.while_loop(lambda number, _: number < num_parts, one, (0, parts), parallel_iterations=1)
    return parts.concat()
