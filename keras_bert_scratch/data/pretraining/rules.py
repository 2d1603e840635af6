"""Which examples are made of documents when they are read, and how."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.data.pretraining.masking import MaskingRule
from keras_bert_scratch.errors import UserError

PAIRS = ("next", "order", "none")
OBJECTIVES = ("masked", "left-to-right")


@dataclasses.dataclass(frozen=True)
class ExampleRules:
    """The rules by which documents become pretraining examples; the defaults are BERT's.

    Args:
        pairs: `"next"`: does B follow A, or is it from elsewhere (Devlin et al. 2019, section 3.1, Task 2)? `"order"`:
            do A and B stand in this order (Lan et al. 2020, section 3.1)? `"none"`: one segment, no question.
        short_seq_prob: how often an example aims at a random shorter length, as fine-tuning's inputs are shorter
            (appendix A.2 and Google's code).
        masking: which tokens are hidden.
        static_masks: whether an example has the same masks in every epoch, as in Google's records; else new ones.
        packing: whether several short examples may share a row, kept apart by their `example_ids`.
        objective: `"masked"`: the hidden tokens; `"left-to-right"`: at every place the token that follows.

    Raises:
        UserError: a value is not one of these.

    Example:
        >>> ExampleRules(pairs="none", packing=True).short_seq_prob
        0.1
    """

    pairs: str = "next"
    short_seq_prob: float = 0.1
    masking: MaskingRule = dataclasses.field(default_factory=MaskingRule)
    static_masks: bool = False
    packing: bool = False
    objective: str = "masked"

    def __post_init__(self) -> None:
        for option, value, known in (("--pairs", self.pairs, PAIRS), ("objective", self.objective, OBJECTIVES)):
            if value not in known:
                raise UserError(f"{option}: {value!r} is unknown; choose one of {', '.join(known)}")
        if not 0 <= self.short_seq_prob <= 1:
            raise UserError(f"--short-seq-prob: is a share, from 0 to 1, not {self.short_seq_prob}")

    @property
    def num_special_tokens(self) -> int:
        """How many of an example's tokens are `[CLS]` or `[SEP]`."""
        return 2 if self.pairs == "none" else 3
