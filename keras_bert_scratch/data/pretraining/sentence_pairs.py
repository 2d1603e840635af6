"""Sentence pairs for pretraining: which stretch of a document is A, which is B, and whether B really follows.

Works on positions alone: a shard's ids lie in one array, and an example is four numbers into it. What a chunk of
sentences that starts at sentence s would be like depends on s and the key only, so it is worked out for all s at once;
which chunks there are is then a walk from each to the one behind it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.rng import randint, random_hash, uniform

IN_ORDER, NOT_IN_ORDER = 0, 1  # "is next" and "is random", or for order "as written" and "swapped"

# int64 `(examples, 5)`: A's first id and the one behind its last, the same of B, the label. Without B both are 0.
Examples = np.ndarray


def plan_examples(
    sentence_lengths: np.ndarray, document_lengths: np.ndarray, max_length: int, rules: ExampleRules, *key: Any
) -> Examples:
    """All examples of a shard, in the order of the text.

    Args:
        sentence_lengths: ids per sentence, each at least 1.
        document_lengths: sentences per document, each at least 1; for `"next"` at least two documents.
        max_length: tokens of an example at most, the special ones included.
        rules: what to make.
        key: all chance comes from it.

    Example:
        >>> examples = plan_examples(np.array([3, 4, 5]), np.array([1, 2]), 32, ExampleRules(), "some", "key")
        >>> examples[:, :2].tolist()
        [[0, 3], [3, 7], [7, 12]]
    """
    ends = np.concatenate([[0], np.cumsum(sentence_lengths)])  # sentence s is ids[ends[s]:ends[s + 1]]
    first = np.concatenate([[0], np.cumsum(document_lengths)])  # document d is sentences first[d]...first[d + 1] - 1
    room = max_length - rules.num_special_tokens
    if rules.pairs == "none":
        return _stretches(ends[first], room, rules.short_seq_prob, key)
    if rules.pairs == "order":
        return _trimmed(_ordered_pairs(ends, first, room, rules.short_seq_prob, key), room, key)
    return _trimmed(_next_pairs(ends, first, room, rules.short_seq_prob, key), room, key)


def _targets(size: int, room: int, short_seq_prob: float, key: tuple[Any, ...]) -> np.ndarray:
    """How many tokens each chunk aims at: mostly all that fit."""
    numbers = np.arange(size)
    short = uniform("is short", *key, numbers) < short_seq_prob
    return np.where(short, 2 + randint(room - 1, "short target", *key, numbers), room)


def _chunks(
    ends: np.ndarray, first: np.ndarray, targets: np.ndarray, key: tuple[Any, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For a chunk that starts at each sentence: its document, where A stops and where the chunk stops, in sentences.

    A takes the chunk's first one or more, and leaves B one if there are two.
    """
    sentences = np.arange(len(ends) - 1)
    document = np.repeat(np.arange(len(first) - 1), np.diff(first))
    stop = np.clip(np.searchsorted(ends, ends[:-1] + targets), sentences + 1, first[document + 1])
    a_stop = sentences + 1 + randint(np.maximum(stop - sentences - 1, 1), "split", *key, sentences)
    return document, np.minimum(a_stop, stop), stop


def _walk(following: np.ndarray) -> np.ndarray:
    """The chunks that there are: the first, the one behind it, and so on; a document's end is the next one's start."""
    behind, chunks, at = following.tolist(), [], 0
    while at < len(behind):
        chunks.append(at)
        at = behind[at]
    return np.array(chunks, np.int64)


def _next_pairs(
    ends: np.ndarray, first: np.ndarray, room: int, short_seq_prob: float, key: tuple[Any, ...]
) -> Examples:
    """Devlin et al. 2019, appendix A.2, and Google's `create_instances_from_document` for what it leaves open."""
    targets = _targets(len(ends) - 1, room, short_seq_prob, key)
    document, a_stop, stop = _chunks(ends, first, targets, key)
    sentences = np.arange(len(ends) - 1)
    is_random = (stop == sentences + 1) | (uniform("is random", *key, sentences) < 0.5)
    chunks = _walk(np.where(is_random, a_stop, stop))  # what a random B displaced is used again

    start_a, end_a, end_b = ends[chunks], ends[a_stop[chunks]], ends[stop[chunks]]
    start_b = end_a.copy()
    random = np.flatnonzero(is_random[chunks])
    wanted = np.maximum(1, (targets[chunks] - (end_a - start_a))[random])
    start_b[random], end_b[random] = _elsewhere(document[chunks][random], wanted, ends, first, key, chunks[random])
    return np.stack([start_a, end_a, start_b, end_b, is_random[chunks].astype(np.int64)], axis=1)


def _elsewhere(
    document: np.ndarray,
    wanted: np.ndarray,
    ends: np.ndarray,
    first: np.ndarray,
    key: tuple[Any, ...],
    chunk: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Sentences of another document, from a random one on, until there are `wanted` tokens."""
    other = randint(len(first) - 2, "other document", *key, chunk)
    other += other >= document
    start = first[other] + randint(first[other + 1] - first[other], "other sentence", *key, chunk)
    stop = np.clip(np.searchsorted(ends, ends[start] + wanted), start + 1, first[other + 1])
    return ends[start], ends[stop]


def _ordered_pairs(
    ends: np.ndarray, first: np.ndarray, room: int, short_seq_prob: float, key: tuple[Any, ...]
) -> Examples:
    """Neighbouring segments, swapped half of the time; a lone sentence is parted, if it has two tokens."""
    targets = _targets(len(ends) - 1, room, short_seq_prob, key)
    _, a_stop, stop = _chunks(ends, first, targets, key)
    chunks = _walk(stop)
    start, middle, end = ends[chunks], ends[a_stop[chunks]], ends[stop[chunks]]
    parted = start + 1 + randint(np.maximum(end - start - 1, 1), "part", *key, chunks)
    middle = np.where(a_stop[chunks] == stop[chunks], parted, middle)
    swapped = uniform("is swapped", *key, chunks) < 0.5
    pairs = np.stack(
        [
            np.where(swapped, middle, start),
            np.where(swapped, end, middle),
            np.where(swapped, start, middle),
            np.where(swapped, middle, end),
            swapped.astype(np.int64),
        ],
        axis=1,
    )
    return pairs[end - start >= 2]


def _stretches(documents: np.ndarray, room: int, short_seq_prob: float, key: tuple[Any, ...]) -> Examples:
    """Each document cut into stretches that just fit, from a random place on; some are cut again. No token is lost."""
    start, end = documents[:-1], documents[1:]
    offset = randint((end - start) % room + 1, "offset", *key, np.arange(len(start)))
    per_document = -(-(end - start - offset) // room)  # whole stretches behind the offset, the last perhaps short
    within = np.arange(per_document.sum()) - np.repeat(np.cumsum(per_document) - per_document, per_document)
    cuts = np.unique(np.concatenate([documents, np.repeat(start + offset, per_document) + within * room]))
    lengths, numbers = np.diff(cuts), np.arange(len(cuts) - 1)
    short = (uniform("is short", *key, numbers) < short_seq_prob) & (lengths >= 2)
    inside = cuts[:-1] + 1 + randint(np.maximum(lengths - 1, 1), "short target", *key, numbers)
    cuts = np.unique(np.concatenate([cuts, inside[short]]))
    nothing = np.zeros(len(cuts) - 1, np.int64)
    return np.stack([cuts[:-1], cuts[1:], nothing, nothing, nothing], axis=1)


def _trimmed(pairs: Examples, room: int, key: tuple[Any, ...]) -> Examples:
    """The longer segment loses a token at its front or its back, by chance, until both fit, as in Google's code."""
    start_a, end_a, start_b, end_b, labels = pairs.T.copy()
    length_a, length_b = end_a - start_a, end_b - start_b
    excess = np.maximum(length_a + length_b - room, 0)
    # Taken at once what one by one would give: from the longer until both are equal, then from both in turn, B first.
    uneven = np.minimum(excess, np.abs(length_a - length_b))
    even = excess - uneven
    cut_a = np.where(length_a > length_b, uneven, 0) + even // 2
    cut_b = np.where(length_a > length_b, 0, uneven) + even - even // 2
    numbers = np.arange(len(pairs))
    front_a, front_b = _heads(cut_a, "front of A", *key, numbers), _heads(cut_b, "front of B", *key, numbers)
    return np.stack(
        [start_a + front_a, end_a - cut_a + front_a, start_b + front_b, end_b - cut_b + front_b, labels], axis=1
    )


def _heads(throws: np.ndarray, purpose: str, *key: Any) -> np.ndarray:
    """How many heads each number of coin throws gives, 64 throws to a hash."""
    *shared, numbers = key
    heads = np.zeros(len(throws), np.int64)
    for word in range(-(-int(throws.max(initial=0)) // 64)):
        left = np.flatnonzero(throws > 64 * word)
        unused = np.maximum(64 * (word + 1) - throws[left], 0).astype(np.uint64)
        heads[left] += np.bitwise_count(random_hash(purpose, *shared, numbers[left], word) >> unused)
    return heads
