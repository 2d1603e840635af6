"""The masking rule: which tokens are hidden from the network, and what it sees in their place.

Chance comes from a key per row (`data/rng.py`), so a row's masks depend on its key and its tokens alone: neither on the
rows beside it nor on who makes them.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_bert_scratch.data import rng
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.vocabulary import Vocabulary

SEES_MASK, SEES_RANDOM = 0.8, 0.1  # and the token itself in the remaining 10%
LAST = np.uint64(2**64 - 1)  # a lot behind all others
LONGEST_RUN = {"tokens": 1, "words": 1, "ngrams": 3}  # how many units may be chosen at one go


@dataclasses.dataclass(frozen=True)
class MaskingRule:
    """How much is hidden, and in what units.

    Args:
        share: which share of a row's tokens is chosen, above 0 and below 1.
        unit: what is chosen whole. `"tokens"`: single tokens (Devlin et al. 2019, section 3.1). `"words"`: words with
            all of their `##` pieces (whole-word masking, Google's README of May 2019). `"ngrams"`: runs of one to three
            words, n of them with a chance proportional to 1/n (Lan et al. 2020, section 4.2, after Joshi et al. 2020);
            a run that meets `[SEP]`, a chosen word or the row's limit becomes shorter. No word reaches across `[SEP]`.
        max_predictions: how many tokens of a row are chosen at most; None sets no limit beside the share.

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> MaskingRule(share=0.15).room(128), MaskingRule(max_predictions=20).room(512)
        (20, 20)
    """

    share: float = 0.15
    unit: str = "tokens"
    max_predictions: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UserError(f"--masked-share: is a share, more than 0 and less than 1, not {self.share}")
        if self.unit not in LONGEST_RUN:
            raise UserError(f"--masking: {self.unit!r} is unknown; choose one of {', '.join(LONGEST_RUN)}")
        if self.max_predictions is not None and self.max_predictions < 1:
            raise UserError(f"--max-predictions: must be at least 1, not {self.max_predictions}")

    def room(self, length: int) -> int:
        """How many places for predictions a row of `length` tokens needs."""
        places = math.ceil(self.share * length)
        return places if self.max_predictions is None else min(places, self.max_predictions)


def mask_tokens(
    token_ids: np.ndarray, padding_mask: np.ndarray, vocabulary: Vocabulary, rule: MaskingRule, keys: np.ndarray
) -> dict[str, np.ndarray]:
    """Chooses a share of each row's tokens to predict and hides them (Devlin et al. 2019, section 3.1, Task 1).

    Of the chosen, 80% become `[MASK]`, 10% a random token, 10% stay. `[CLS]`, `[SEP]` and padding are never chosen.
    `max(1, round(tokens * share))` are wanted of a row, where `tokens` counts the special ones too, as in Google's
    `create_masked_lm_predictions`. Whole words may leave a few of them over, since a word that is too long is skipped.

    Args:
        token_ids: int32 `(rows, length)`.
        padding_mask: int32 `(rows, length)`, 1 at tokens.
        vocabulary: tells the special ids, the pieces of words and how many tokens there are.
        rule: how much is chosen, and in what units.
        keys: uint64 `(rows,)`; a row's key and tokens decide its masks.

    Returns: `token_ids` `(rows, length)` with the hidden ones replaced; `mask_positions`, ascending, and `mask_ids`
    (what stood there) int32, and `mask_weights` float32 (1 where a prediction counts, 0 where the row has fewer), each
    `(rows, rule.room(length))`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> rows, mask = np.array([[2, 5, 6, 3, 0]]), np.array([[1, 1, 1, 1, 0]])
        >>> keys = rng.random_hash("masks", np.arange(1))
        >>> masked = mask_tokens(rows, mask, vocabulary, MaskingRule(0.5, "words"), keys)
        >>> masked["mask_positions"].tolist(), masked["mask_ids"].tolist(), masked["mask_weights"].tolist()
        ([[1, 2, 0]], [[5, 6, 0]], [[1.0, 1.0, 0.0]])
    """
    chosen = _chosen(token_ids, padding_mask == 1, vocabulary, rule, keys)
    counts = np.arange(rule.room(token_ids.shape[1])) < chosen.sum(axis=1)[:, None]  # (rows, room)
    rows, positions = np.nonzero(chosen)  # row by row, ascending: the order in which `counts` is True

    stood = token_ids[rows, positions]
    fate = rng.uniform(keys[rows], "fate", positions)
    random_ids = rng.randint(len(vocabulary), keys[rows], "random token", positions)
    seen = np.where(fate < SEES_MASK, vocabulary.mask_id, np.where(fate < SEES_MASK + SEES_RANDOM, random_ids, stood))

    masked = {
        "token_ids": token_ids.astype(np.int32),
        "mask_positions": np.zeros(counts.shape, np.int32),
        "mask_ids": np.zeros(counts.shape, np.int32),
        "mask_weights": counts.astype(np.float32),
    }
    masked["token_ids"][rows, positions] = seen
    masked["mask_positions"][counts] = positions
    masked["mask_ids"][counts] = stood
    return masked


def _chosen(
    token_ids: np.ndarray, real: np.ndarray, vocabulary: Vocabulary, rule: MaskingRule, keys: np.ndarray
) -> np.ndarray:
    """Which tokens are to be predicted, bool `(rows, length)`: units are visited by lot, and taken while they fit."""
    rows, length = np.arange(len(token_ids)), token_ids.shape[1]
    wanted = np.maximum(1, np.round(real.sum(axis=1) * rule.share)).astype(np.int64)  # half to even, as Google's
    left = np.minimum(wanted, rule.room(length))

    maskable = real & (token_ids != vocabulary.cls_id) & (token_ids != vocabulary.sep_id)
    lots = rng.random_hash(keys[:, None], "lot", np.arange(length))
    if rule.unit == "tokens":  # every visit fits
        by_lot = np.argsort(np.where(maskable, lots, LAST), axis=1)
        chosen = np.zeros_like(maskable)
        np.put_along_axis(chosen, by_lot, np.arange(length) < left[:, None], axis=1)
        return chosen & maskable

    joined = np.zeros_like(maskable)  # to the token before, as a piece of the same unit
    joined[:, 1:] = vocabulary.continues_word[token_ids[:, 1:]] & maskable[:, 1:] & maskable[:, :-1]
    starts = maskable & ~joined
    after = _ends(starts, joined)
    visits = np.argsort(np.where(starts, lots, LAST), axis=1)[:, : starts.sum(axis=1).max(initial=0)]
    sizes = _run_sizes(LONGEST_RUN[rule.unit], keys[:, None], visits)

    edges = np.zeros((len(rows), length + 1), np.int8)  # 1 where a chosen run begins, -1 behind it
    for start, size in zip(visits.T, sizes.T, strict=True):
        # A run grows word by word; it cannot pass what ends where it starts: [SEP], padding, what is already chosen.
        firsts, end = [], start
        for words in range(1, LONGEST_RUN[rule.unit] + 1):
            longer = after[rows, end]
            grows = (words <= size) & (longer - start <= left)
            firsts.append(end)
            end = np.where(grows, longer, end)
        for first in firsts:
            after[rows, first] = np.where(first < end, first, after[rows, first])
        edges[rows, start] += 1
        edges[rows, end] -= 1
        left = left - (end - start)
        if not left.any():
            break
    return np.cumsum(edges[:, :-1], axis=1, dtype=np.int8) == 1


def _ends(starts: np.ndarray, joined: np.ndarray) -> np.ndarray:
    """Where the unit that starts at a place ends, `(rows, length + 1)`; the place itself where none starts."""
    length = starts.shape[1]
    places = np.arange(length + 1)
    breaks = np.where(joined, length, places[:-1])
    following = np.full((len(starts), length + 1), length)
    following[:, :-1] = np.minimum.accumulate(breaks[:, ::-1], axis=1)[:, ::-1]  # the first break at a place or later
    ends = np.tile(places, (len(starts), 1))
    ends[:, :-1] = np.where(starts, following[:, 1:], places[:-1])
    return ends


def _run_sizes(longest: int, keys: np.ndarray, visits: np.ndarray) -> np.ndarray:
    """How many units in a row each visit would like: n with a chance proportional to 1/n."""
    shares = 1 / np.arange(1, longest + 1)
    bounds = np.cumsum(shares / shares.sum())[:-1]
    return 1 + np.searchsorted(bounds, rng.uniform(keys, "run", visits), side="right")
