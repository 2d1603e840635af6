"""Document context: neighbours in the document fill up a sentence's row (Devlin et al. 2019, section 5.3)."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from keras_bert_scratch.tasks.data.windows import slices

BEFORE, AFTER = "text_before", "text_after"


def sentences_with_context(
    sentences: Iterable[tuple[Any, Sequence[str]]], num_words: int
) -> Iterator[tuple[Sequence[str], str, str]]:
    """Yields each sentence with the words before and after it in its document, joined by blanks, in constant memory.

    Args:
        sentences: pairs of document and words. Consecutive sentences with equal document values share a document.
        num_words: int. Maximum number of words on either side.

    Example:
        >>> sentences = [(1, ["A", "b", "."]), (1, ["C", "."]), (2, ["D", "."])]
        >>> [(before, after) for _, before, after in sentences_with_context(sentences, num_words=2)]
        [('', 'C .'), ('b .', ''), ('', '')]
    """
    for _, document in itertools.groupby(sentences, key=lambda sentence: sentence[0]):
        before: collections.deque[str] = collections.deque(maxlen=num_words)
        waiting: collections.deque[Sequence[str]] = collections.deque()

        def pop_sentence(before: Any = before, waiting: Any = waiting) -> tuple[Sequence[str], str, str]:
            words = waiting.popleft()
            after = itertools.islice(itertools.chain.from_iterable(waiting), num_words)
            found = words, " ".join(before), " ".join(after)
            before.extend(words)
            return found

        words_behind = 0  # words after the first waiting sentence
        for _, words in document:
            words_behind += len(words) if waiting else 0
            waiting.append(words)
            while words_behind >= num_words and len(waiting) > 1:
                words_behind -= len(waiting[1])
                yield pop_sentence()
        while waiting:
            yield pop_sentence()


def fill_with_context(
    sentences: tf.RaggedTensor,
    before: tf.RaggedTensor,
    after: tf.RaggedTensor,
    windows: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
    room: int,
) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Fills the free room of sentence windows with context from both sides, equally if both have enough.

    Only the window with the sentence's beginning gets context before it, and only the one with its end gets context
    after it, because all windows before the last are full.

    Args:
        sentences, before, after: pieces, ragged `(sentences, None)` each.
        windows: int32 `(windows,)` each: the sentence, its first piece in the window, and the end piece (exclusive).
        room: int. Maximum number of pieces in a window.

    Returns: the pieces, ragged `(windows, None)`; and how many of them are context before, int32 `(windows,)`.

    Example:
        >>> rows = [tf.ragged.constant([row]) for row in ([5], [1, 2, 3, 4], [6, 7, 8])]
        >>> window = [tf.constant([0]), tf.constant([0]), tf.constant([1])]
        >>> fill_with_context(*rows, window, room=5)
        (<tf.RaggedTensor [[3, 4, 5, 6, 7]]>, <tf.Tensor: shape=(1,), dtype=int32, numpy=array([2], dtype=int32)>)
    """
    which, start, limit = windows
    lengths = [tf.gather(tf.cast(pieces.row_lengths(), tf.int32), which) for pieces in (before, sentences, after)]
    spare = room - (limit - start)
    most_before, most_after = tf.where(start == 0, lengths[0], 0), lengths[2]
    left = tf.minimum(most_before, tf.maximum(spare // 2, spare - most_after))
    right = tf.minimum(most_after, spare - left)
    whole = tf.concat([before, sentences, after], axis=1)
    return slices(whole, which, lengths[0] + start - left, lengths[0] + limit + right), left
