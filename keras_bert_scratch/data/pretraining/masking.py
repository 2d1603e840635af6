"""The masking rule: which tokens are masked, and what the network sees in their place.

All random numbers come from one key per row (`data/rng.py`). So the masks of a row depend only on its key and its
tokens, not on the other rows of the batch or on the worker. Strings such as "fate" are part of the hash: they keep
the numbers of one purpose apart from those of another.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from keras_bert_scratch.data import rng
from keras_bert_scratch.data.pretraining.masked_units import LONGEST_RUN, choose_units
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.vocabulary import Vocabulary

REPLACEMENTS = (0.8, 0.1, 0.1)  # probability that a chosen token becomes [MASK], or a random token, or stays


@dataclasses.dataclass(frozen=True)
class MaskingRule:
    """How many tokens are masked, and in what units.

    Args:
        fraction: float, default 0.15. Fraction of a row's tokens that is chosen; more than 0 and less than 1.
        unit: `"tokens"` (default), `"words"` or `"ngrams"`. Single tokens (Devlin et al. 2019, section 3.1); words with
            all of their `##` pieces (whole-word masking, Google's README of May 2019); or runs of one to three words,
            n words with a probability proportional to 1/n (Lan et al. 2020, section 4.2, after Joshi et al. 2020). A
            run ends early at `[SEP]`, at a chosen word and at the row's limit.
        max_predictions: int, default None. Maximum number of chosen tokens in a row; None for no further limit.
        replacements: three floats, default `(0.8, 0.1, 0.1)`. Probabilities that a chosen token becomes `[MASK]`, or a
            random token, or stays as it is (section 3.1; appendix C.2 compares others).

    Raises:
        UserError: a value is out of its range.

    Example:
        >>> MaskingRule(fraction=0.15).num_predictions(128), MaskingRule(max_predictions=20).num_predictions(512)
        (20, 20)
    """

    fraction: float = 0.15
    unit: str = "tokens"
    max_predictions: int | None = None
    replacements: tuple[float, float, float] = REPLACEMENTS

    def __post_init__(self) -> None:
        object.__setattr__(self, "replacements", tuple(self.replacements))  # a list if it was read from a file
        if not 0 < self.fraction < 1:
            raise UserError(f"`fraction`: must be more than 0 and less than 1, not {self.fraction}")
        if self.unit not in LONGEST_RUN:
            raise UserError(f"`unit`: {self.unit!r} is unknown; choose one of {', '.join(LONGEST_RUN)}")
        if self.max_predictions is not None and self.max_predictions < 1:
            raise UserError(f"`max_predictions`: must be at least 1, not {self.max_predictions}")
        if len(self.replacements) != 3 or not all(0 <= one <= 1 for one in self.replacements):
            raise UserError(
                f"`replacements`: must be three probabilities, of [MASK], a random token and the token itself, not "
                f"{self.replacements}"
            )
        if not math.isclose(total := sum(self.replacements), 1):
            raise UserError(f"`replacements`: the probabilities must add up to 1, not to {total:g}")

    def num_predictions(self, length: int) -> int:
        """The most predictions that a row of `length` tokens can have: the width of `mask_positions`."""
        count = math.ceil(self.fraction * length)
        return count if self.max_predictions is None else min(count, self.max_predictions)


def mask_tokens(
    token_ids: np.ndarray, padding_mask: np.ndarray, vocabulary: Vocabulary, rule: MaskingRule, keys: np.ndarray
) -> dict[str, np.ndarray]:
    """Chooses tokens of each row to predict, and replaces them (Devlin et al. 2019, section 3.1, Task 1).

    Args:
        token_ids: int32 `(rows, length)`.
        padding_mask: int32 `(rows, length)`. 1 at tokens, 0 at padding.
        vocabulary: `Vocabulary`. The vocabulary of the ids.
        rule: `MaskingRule`. How many tokens are chosen, and in what units.
        keys: uint64 `(rows,)`. A row's key and tokens determine its masks.

    Returns: `token_ids` `(rows, length)`, with the chosen ones replaced; `mask_positions`, ascending, and `mask_ids`
    (the original ids) int32, `mask_weights` float32 (1 at a prediction, 0 where a row has fewer), each `(rows,
    rule.num_predictions(length))`.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> rows, mask = np.array([[2, 5, 6, 3, 0]]), np.array([[1, 1, 1, 1, 0]])
        >>> masked = mask_tokens(rows, mask, vocabulary, MaskingRule(0.5, "words"), rng.random_hash("a key", [0]))
        >>> masked["mask_positions"].tolist(), masked["mask_ids"].tolist(), masked["mask_weights"].tolist()
        ([[1, 2, 0]], [[5, 6, 0]], [[1.0, 1.0, 0.0]])
    """
    chosen = _choose(token_ids, padding_mask == 1, vocabulary, rule, keys)
    rows, positions = np.nonzero(chosen)
    original_ids = token_ids[rows, positions]

    draw = rng.uniform(keys[rows], "fate", positions)
    random_ids = rng.randint(len(vocabulary), keys[rows], "random token", positions)
    masks, randoms, _ = rule.replacements
    new_ids = np.select([draw < masks, draw < masks + randoms], [vocabulary.mask_id, random_ids], original_ids)

    is_prediction = np.arange(rule.num_predictions(token_ids.shape[1])) < chosen.sum(axis=1)[:, None]
    masked = {"token_ids": token_ids.astype(np.int32), "mask_weights": is_prediction.astype(np.float32)}
    masked["mask_positions"], masked["mask_ids"] = np.zeros((2, *is_prediction.shape), np.int32)
    masked["token_ids"][rows, positions] = new_ids
    masked["mask_positions"][is_prediction] = positions  # `nonzero` and this assignment both go row by row
    masked["mask_ids"][is_prediction] = original_ids
    return masked


def _choose(
    token_ids: np.ndarray, is_token: np.ndarray, vocabulary: Vocabulary, rule: MaskingRule, keys: np.ndarray
) -> np.ndarray:
    """Which tokens are predicted, bool `(rows, length)`: units in the order of a random priority, as long as they fit.

    A row gets `max(1, round(fraction * tokens))` predictions, where `tokens` includes the special ones, as in Google's
    `create_masked_lm_predictions`; fewer if whole words do not fit exactly. `[CLS]` and `[SEP]` are never chosen.
    """
    length = token_ids.shape[1]
    wanted = np.maximum(1, np.round(is_token.sum(axis=1) * rule.fraction)).astype(np.int64)  # half to even, as Google's
    limits = np.minimum(wanted, rule.num_predictions(length))
    maskable = is_token & (token_ids != vocabulary.cls_id) & (token_ids != vocabulary.sep_id)
    priority = rng.random_hash(keys[:, None], "lot", np.arange(length))
    if rule.unit == "tokens":
        by_priority = np.argsort(np.where(maskable, priority, rng.LAST), axis=1)
        chosen = np.zeros_like(maskable)
        np.put_along_axis(chosen, by_priority, np.arange(length) < limits[:, None], axis=1)
        return chosen & maskable
    return choose_units(maskable, vocabulary.continues_word[token_ids], priority, limits, LONGEST_RUN[rule.unit], keys)
