"""Learning a WordPiece vocabulary from text: count words, then repeatedly join the most frequent neighbours."""

from __future__ import annotations

import collections
import heapq
import itertools
from collections.abc import Iterable, Mapping

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.vocabulary import SPECIAL_TOKENS, Vocabulary
from keras_bert_scratch.text.word_rules import WordRules
from keras_bert_scratch.text.words import split_words

CHARACTERS_PER_BATCH = 1 << 20
MAX_WORD_LENGTH = 100
MAX_WORDS = 1 << 20  # distinct words held at a time; English Wikipedia's 4 billion words have several million
# So many of the most frequent characters are kept, or half as many as the pieces if that is more; others become [UNK].
# Chinese has thousands of characters, but those that occur once must not fill the vocabulary.
MAX_ALPHABET = 1000
MIN_PAIR_COUNT = 2

Pair = tuple[str, str]


def learn_vocabulary(texts: Iterable[str], size: int, lowercase: bool = True) -> Vocabulary:
    """Learns `size` WordPiece tokens from `texts`; the same texts always give the same vocabulary.

    Args:
        texts: sentences or whole documents; read once.
        size: number of tokens, the five special ones included; a small corpus may yield fewer.
        lowercase: whether the vocabulary is uncased.

    Raises:
        UserError: the texts contain no word, or `size` is less than their characters need.

    Google never published how it learned BERT's vocabulary. This joins the pair of neighbouring pieces with the highest
    count (Sennrich et al. 2016, section 3.2), in WordPiece's spelling: `##` begins a piece that continues a word.

    Example:
        >>> learn_vocabulary(["low lower lowest"] * 3, size=15).tokens[-3:]
        ('##ow', 'low', 'lowe')
    """
    if isinstance(texts, str):
        raise UserError("`texts`: is a single str; give a list of texts, or an open file, which is read line by line")
    if size <= len(SPECIAL_TOKENS):  # before the text is read
        raise UserError(f"`size`: must be more than the {len(SPECIAL_TOKENS)} special tokens, not {size}")
    return Vocabulary(
        (*SPECIAL_TOKENS, *learn_pieces(count_words(texts, lowercase), size - len(SPECIAL_TOKENS))),
        origin="learned vocabulary",
    )


def count_words(texts: Iterable[str], lowercase: bool, max_words: int = MAX_WORDS) -> collections.Counter[str]:
    """How often each word occurs in `texts`; words are split as the tokenizer splits them.

    Memory is bounded: at most `max_words` distinct words and those of one batch are held. Beyond that, the rarest so
    far are dropped, which changes the counts of rare words only (lossy counting, Manku & Motwani 2002).

    Example:
        >>> sorted(count_words(["A rose is a rose."], lowercase=True).items())
        [('.', 1), ('a', 2), ('is', 1), ('rose', 2)]
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def words_of(batch: tf.Tensor) -> tf.Tensor:
        words = split_words(batch, WordRules(lowercase))
        return tf.boolean_mask(words.spelled(), words.characters.row_lengths() <= MAX_WORD_LENGTH)

    counts: collections.Counter[bytes] = collections.Counter()
    for batch in _batches(texts):
        counts.update(words_of(tf.constant(batch)).numpy().tolist())
        if len(counts) > max_words:
            counts = _without_rarest(counts, max_words // 2)
    return collections.Counter({word.decode(): count for word, count in counts.items()})


def _batches(texts: Iterable[str]) -> Iterable[list[str]]:
    """The texts in lists of about `CHARACTERS_PER_BATCH` characters."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= CHARACTERS_PER_BATCH:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _without_rarest(counts: collections.Counter[bytes], size: int) -> collections.Counter[bytes]:
    """At most `size` of the words; words of equal count are all kept or all dropped, so their order does not matter."""
    floor = sorted(counts.values(), reverse=True)[size]
    return collections.Counter({word: count for word, count in counts.items() if count > floor})


def learn_pieces(word_counts: Mapping[str, int], num_pieces: int) -> list[str]:
    """The characters of the words, then joined pieces, the most frequent first; at most `num_pieces` in total."""
    pieces = _alphabet(word_counts, max(MAX_ALPHABET, num_pieces // 2))
    if not pieces:
        raise UserError("corpus: contains no words; give text")
    if len(pieces) > num_pieces:
        wanted = len(pieces) + len(SPECIAL_TOKENS)
        raise UserError(f"`size`: the corpus's characters alone need {wanted} tokens; give more than that")
    known = set(pieces)
    words = [
        (spelled, count) for word, count in sorted(word_counts.items()) if known.issuperset(spelled := _spell(word))
    ]
    for joined in itertools.islice(_joined_pieces(words), num_pieces - len(pieces)):
        pieces.append(joined)
    return pieces


def _spell(word: str) -> list[str]:
    return [word[0], *(f"##{character}" for character in word[1:])]


def _alphabet(word_counts: Mapping[str, int], max_characters: int) -> list[str]:
    """The one-character pieces of the most frequent characters, sorted."""
    counts: collections.Counter[str] = collections.Counter()
    for word, count in word_counts.items():
        for character in word:
            counts[character] += count
    by_count = sorted(counts, key=lambda character: (-counts[character], character))
    kept = set(by_count[:max_characters])
    return sorted({piece for word in word_counts for piece in _spell(word) if piece[-1] in kept})


def _joined_pieces(words: list[tuple[list[str], int]]) -> Iterable[str]:
    """New pieces, from the most frequent pair on; joining a pair changes only the counts of neighbouring pairs."""
    pair_counts: collections.Counter[Pair] = collections.Counter()
    words_with: dict[Pair, set[int]] = collections.defaultdict(set)
    for index, (pieces, count) in enumerate(words):
        for pair in itertools.pairwise(pieces):
            pair_counts[pair] += count
            words_with[pair].add(index)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    seen: set[str] = set()
    while heap:
        negative_count, pair = heapq.heappop(heap)
        if -negative_count != pair_counts[pair]:
            continue  # an entry from before the count changed; the newer one is in the heap too
        if -negative_count < MIN_PAIR_COUNT:
            return
        joined = pair[0] + pair[1].removeprefix("##")
        changed: set[Pair] = set()
        for index in words_with.pop(pair):
            pieces, count = words[index]
            for old in itertools.pairwise(pieces):
                pair_counts[old] -= count
                changed.add(old)
            pieces[:] = _join(pieces, pair, joined)
            for new in itertools.pairwise(pieces):
                pair_counts[new] += count
                words_with[new].add(index)
                changed.add(new)
        for neighbour in changed:
            if pair_counts[neighbour] > 0:
                heapq.heappush(heap, (-pair_counts[neighbour], neighbour))
        if joined not in seen:  # two pairs may spell the same piece
            seen.add(joined)
            yield joined


def _join(pieces: list[str], pair: Pair, joined: str) -> list[str]:
    result: list[str] = []
    for piece in pieces:
        if result and (result[-1], piece) == pair:
            result[-1] = joined
        else:
            result.append(piece)
    return result
