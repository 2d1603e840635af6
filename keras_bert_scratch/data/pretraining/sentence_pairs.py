"""Sentence pairs for pretraining: which part of a document is segment A, which is B, and whether B really follows.

Only positions are computed: the ids of a shard are one array, and an example is four positions in it. A chunk is a run
of sentences that becomes one example. The chunk that would start at sentence s depends on s and the key only, so numpy
computes the chunks for all s at once. A walk from the end of one chunk to the start of the next then finds which exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_bert_scratch.data.pretraining.rules import ExampleRules
from keras_bert_scratch.data.rng import randint, random_hash, uniform

IN_ORDER, NOT_IN_ORDER = 0, 1  # labels: "is next" and "is random", or for the order task "in order" and "swapped"

# int64 `(examples, 5)`: start and end of A in the shard's ids, start and end of B (0 and 0 without B), the label.
Examples = np.ndarray


def plan_examples(
    sentence_lengths: np.ndarray, document_lengths: np.ndarray, max_length: int, rules: ExampleRules, *key: Any
) -> Examples:
    """All examples of a shard, in the order of the text.

    Args:
        sentence_lengths: int64 `(sentences,)`. Ids per sentence, each at least 1.
        document_lengths: int64 `(documents,)`. Sentences per document, each at least 1; for `"next"` at least two
            documents.
        max_length: int. Maximum number of tokens in an example, the special ones included.
        rules: `ExampleRules`. What to make.
        key: ints and strings. They determine all random numbers.

    Example:
        >>> examples = plan_examples(np.array([3, 4, 5]), np.array([1, 2]), 32, ExampleRules(), "some", "key")
        >>> examples[:, :2].tolist()
        [[0, 3], [3, 7], [7, 12]]
    """
    ends = np.concatenate([[0], np.cumsum(sentence_lengths)])  # sentence s is ids[ends[s]:ends[s + 1]]
    first = np.concatenate([[0], np.cumsum(document_lengths)])  # document d is sentences first[d]...first[d + 1] - 1
    max_tokens = max_length - rules.num_special_tokens
    if rules.pairs == "none":
        return _single_segments(ends[first], max_tokens, rules.short_seq_prob, key)
    if rules.pairs == "order":
        return _trimmed(_ordered_pairs(ends, first, max_tokens, rules.short_seq_prob, key), max_tokens, key)
    return _trimmed(_next_pairs(ends, first, max_tokens, rules.short_seq_prob, key), max_tokens, key)


def _targets(size: int, max_tokens: int, short_seq_prob: float, key: tuple[Any, ...]) -> np.ndarray:
    """The target length of each chunk in tokens: usually as many as fit."""
    numbers = np.arange(size)
    short = uniform("is short", *key, numbers) < short_seq_prob
    return np.where(short, 2 + randint(max_tokens - 1, "short target", *key, numbers), max_tokens)


def _chunks(
    ends: np.ndarray, first: np.ndarray, targets: np.ndarray, key: tuple[Any, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the chunk that would start at each sentence: its document, and the sentences where A and the chunk end.

    A has at least one sentence, and leaves at least one to B if the chunk has two or more.
    """
    sentences = np.arange(len(ends) - 1)
    document = np.repeat(np.arange(len(first) - 1), np.diff(first))
    stop = np.clip(np.searchsorted(ends, ends[:-1] + targets), sentences + 1, first[document + 1])
    a_stop = sentences + 1 + randint(np.maximum(stop - sentences - 1, 1), "split", *key, sentences)
    return document, np.minimum(a_stop, stop), stop


def _walk(following: np.ndarray) -> np.ndarray:
    """The starts of the chunks that exist: the first sentence, the end of its chunk, and so on."""
    behind, chunks, at = following.tolist(), [], 0
    while at < len(behind):
        chunks.append(at)
        at = behind[at]
    return np.array(chunks, np.int64)


def _next_pairs(
    ends: np.ndarray, first: np.ndarray, max_tokens: int, short_seq_prob: float, key: tuple[Any, ...]
) -> Examples:
    """Next-sentence pairs (Devlin et al. 2019, A.2; details as in Google's `create_instances_from_document`)."""
    targets = _targets(len(ends) - 1, max_tokens, short_seq_prob, key)
    document, a_stop, stop = _chunks(ends, first, targets, key)
    sentences = np.arange(len(ends) - 1)
    has_no_next = stop == sentences + 1  # the chunk is a single sentence, which is A
    is_random = has_no_next | (uniform("is random", *key, sentences) < 0.5)
    chunks = _walk(np.where(is_random, a_stop, stop))  # the sentences that a random B replaced begin the next chunk

    start_a, end_a, end_b = ends[chunks], ends[a_stop[chunks]], ends[stop[chunks]]
    start_b = end_a.copy()
    random = np.flatnonzero(is_random[chunks])
    wanted = np.maximum(1, (targets[chunks] - (end_a - start_a))[random])
    start_b[random], end_b[random] = _random_segments(
        document[chunks][random], wanted, ends, first, key, chunks[random]
    )
    return np.stack([start_a, end_a, start_b, end_b, is_random[chunks].astype(np.int64)], axis=1)


def _random_segments(
    document: np.ndarray,
    wanted: np.ndarray,
    ends: np.ndarray,
    first: np.ndarray,
    key: tuple[Any, ...],
    chunk: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Segments from a random sentence of another document on, of at least `wanted` tokens if it has that many."""
    other = randint(len(first) - 2, "other document", *key, chunk)
    other += other >= document
    start = first[other] + randint(first[other + 1] - first[other], "other sentence", *key, chunk)
    stop = np.clip(np.searchsorted(ends, ends[start] + wanted), start + 1, first[other + 1])
    return ends[start], ends[stop]


def _ordered_pairs(
    ends: np.ndarray, first: np.ndarray, max_tokens: int, short_seq_prob: float, key: tuple[Any, ...]
) -> Examples:
    """Neighbouring segments, swapped with probability 1/2; a single sentence is split, if it has two tokens."""
    targets = _targets(len(ends) - 1, max_tokens, short_seq_prob, key)
    _, a_stop, stop = _chunks(ends, first, targets, key)
    chunks = _walk(stop)
    start, middle, end = ends[chunks], ends[a_stop[chunks]], ends[stop[chunks]]
    split = start + 1 + randint(np.maximum(end - start - 1, 1), "part", *key, chunks)
    middle = np.where(a_stop[chunks] == stop[chunks], split, middle)
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


def _single_segments(documents: np.ndarray, max_tokens: int, short_seq_prob: float, key: tuple[Any, ...]) -> Examples:
    """Cuts each document, from a random position on, into single segments that just fit; some are cut again.

    No token is lost.
    """
    start, end = documents[:-1], documents[1:]
    offset = randint((end - start) % max_tokens + 1, "offset", *key, np.arange(len(start)))
    per_document = -(-(end - start - offset) // max_tokens)  # segments after the offset; the last may be shorter
    within = np.arange(per_document.sum()) - np.repeat(np.cumsum(per_document) - per_document, per_document)
    cuts = np.unique(np.concatenate([documents, np.repeat(start + offset, per_document) + within * max_tokens]))
    lengths, numbers = np.diff(cuts), np.arange(len(cuts) - 1)
    short = (uniform("is short", *key, numbers) < short_seq_prob) & (lengths >= 2)
    inside = cuts[:-1] + 1 + randint(np.maximum(lengths - 1, 1), "short target", *key, numbers)
    cuts = np.unique(np.concatenate([cuts, inside[short]]))
    nothing = np.zeros(len(cuts) - 1, np.int64)
    return np.stack([cuts[:-1], cuts[1:], nothing, nothing, nothing], axis=1)


def _trimmed(pairs: Examples, max_tokens: int, key: tuple[Any, ...]) -> Examples:
    """Truncates pairs as Google's code does: the longer segment loses a token at a random end until both fit."""
    start_a, end_a, start_b, end_b, labels = pairs.T.copy()
    length_a, length_b = end_a - start_a, end_b - start_b
    excess = np.maximum(length_a + length_b - max_tokens, 0)
    # The sums of all these steps: first the longer one shrinks until both are equal, then both in turn, B first.
    uneven = np.minimum(excess, np.abs(length_a - length_b))
    even = excess - uneven
    cut_a = np.where(length_a > length_b, uneven, 0) + even // 2
    cut_b = np.where(length_a > length_b, 0, uneven) + even - even // 2
    numbers = np.arange(len(pairs))
    front_a = _binomial(cut_a, "front of A", *key, numbers)
    front_b = _binomial(cut_b, "front of B", *key, numbers)
    return np.stack(
        [start_a + front_a, end_a - cut_a + front_a, start_b + front_b, end_b - cut_b + front_b, labels], axis=1
    )


def _binomial(trials: np.ndarray, purpose: str, *key: Any) -> np.ndarray:
    """The number of heads in `trials` fair coin flips; each hash provides 64 flips, its bits."""
    *shared, numbers = key
    heads = np.zeros(len(trials), np.int64)
    for word in range(-(-int(trials.max(initial=0)) // 64)):
        left = np.flatnonzero(trials > 64 * word)
        unused = np.maximum(64 * (word + 1) - trials[left], 0).astype(np.uint64)
        heads[left] += np.bitwise_count(random_hash(purpose, *shared, numbers[left], word) >> unused)
    return heads
