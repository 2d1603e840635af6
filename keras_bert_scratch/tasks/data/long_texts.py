"""Texts that may be longer than a row and are then split into windows."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_bert_scratch.tasks.data.texts import row_length
from keras_bert_scratch.tasks.data.windows import overlapping_windows, slices
from keras_bert_scratch.tasks.examples import Features
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.text.packing import pack_segments, packed_lengths


def windows_of_texts(spec: Spec, tokenizer: Any, texts: tf.Tensor, overlap: int, chosen: Any = None) -> Features:
    """Builds rows `[CLS] window [SEP]`: one for a text that fits, several overlapping ones for a longer text.

    Args:
        spec: Spec. Its `max_length` limits the rows.
        tokenizer: BertTokenizer. The model's tokenizer.
        texts: strings `(rows,)`.
        overlap: int. Pieces that neighbouring windows share; capped at half a window.
        chosen: int32 `(rows,)`, default `None`. Index of the only window to build of each text; `None` builds all.

    Returns: the rows; `notes["row"]`, int32 `(windows,)`, is the text of each window.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b", "c"))
        >>> texts = tf.constant(["a", "a b c a b"])
        >>> found = windows_of_texts(Spec("classification", ("text",), 5), BertTokenizer(vocabulary), texts, overlap=1)
        >>> found.windows.numpy().tolist(), found.inputs["token_ids"].numpy().tolist()
        ([1, 2], [[2, 5, 3, 0, 0], [2, 5, 6, 7, 3], [2, 7, 5, 6, 3]])
    """
    pieces, room = tokenizer.tokenize(texts), spec.max_length - 2
    windows = overlapping_windows(pieces.row_lengths(), room, min(overlap, room // 2))
    if chosen is None:
        row, start, limit = windows.sequence, windows.start, windows.limit
    else:
        row, start, limit = windows.chosen(chosen)
    shown = slices(pieces, row, start, limit)
    inputs = pack_segments(shown, None, row_length(packed_lengths(shown, None), spec), tokenizer.vocabulary)
    token_counts = packed_lengths(pieces, None)
    none_truncated = tf.zeros_like(token_counts, tf.bool)
    return Features(
        inputs, token_counts, none_truncated, windows.counts if chosen is None else None, notes={"row": row}
    )
