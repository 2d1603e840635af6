"""Which examples are made from documents when records are read, and how."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from keras_bert_scratch.config import LEFT_TO_RIGHT, RIGHT_TO_LEFT
from keras_bert_scratch.data.pretraining.masking import REPLACEMENTS, MaskingRule
from keras_bert_scratch.errors import UserError

PAIRS = ("next", "order", "none")
OBJECTIVES = ("masked", LEFT_TO_RIGHT, RIGHT_TO_LEFT)


@dataclasses.dataclass(frozen=True)
class ExampleRules:
    """The rules by which documents become pretraining examples; the defaults are BERT's.

    Args:
        pairs: `"next"` (default), `"order"` or `"none"`. The sentence task: whether B follows A or is from elsewhere
            (Devlin et al. 2019, section 3.1, Task 2); whether A and B are in order or swapped (Lan et al. 2020, section
            3.1); or a single segment and no such task.
        short_seq_prob: float, default 0.1. Probability that an example has a random shorter length, since the inputs of
            fine-tuning are shorter (appendix A.2 and Google's code).
        masking: `MaskingRule`, default BERT's. Which tokens are masked.
        static_masks: bool, default False. Whether masks repeat every ten epochs, as pairs do and as in Google's records
            with ten copies; by default every epoch has new masks.
        packing: bool, default False. Whether several short examples share a row; `example_ids` separate them.
        objective: `"masked"` (default), `"left-to-right"` or `"right-to-left"`. What is predicted: the masked tokens,
            or at every position the next token in that direction.

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
        for option, value, known in (("pairs", self.pairs, PAIRS), ("objective", self.objective, OBJECTIVES)):
            if value not in known:
                raise UserError(f"`{option}`: {value!r} is unknown; choose one of {', '.join(known)}")
        if not 0 <= self.short_seq_prob <= 1:
            raise UserError(f"`short_seq_prob`: must be a probability from 0 to 1, not {self.short_seq_prob}")

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as a run or a manifest stores them; replacements only if they are not BERT's own."""
        values = dataclasses.asdict(self)
        if self.masking.replacements == REPLACEMENTS:  # as in runs from before the field existed
            del values["masking"]["replacements"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ExampleRules:
        """Restores the rules from what `to_dict` returned.

        Example:
            >>> rules = ExampleRules(pairs="order", masking=MaskingRule(unit="words"))
            >>> ExampleRules.from_dict(rules.to_dict()) == rules
            True
        """
        masking = dict(values["masking"])
        if "share" in masking:  # the name of `fraction` in older run folders
            masking["fraction"] = masking.pop("share")
        return cls(**{**values, "masking": MaskingRule(**masking)})

    def differing(self, *others: ExampleRules) -> list[str]:
        """The names of the arguments, those of `MaskingRule` included, whose values are those of none of `others`.

        Example:
            >>> ExampleRules("order", masking=MaskingRule(unit="words")).differing(ExampleRules())
            ['pairs', 'unit']
        """
        own, *theirs = ({**vars(rules), **vars(rules.masking)} for rules in (self, *others))
        return [name for name in own if name != "masking" and all(own[name] != values[name] for values in theirs)]

    @property
    def is_one_way(self) -> bool:
        """Whether each token predicts the next one in a direction."""
        return self.objective != "masked"

    @property
    def num_special_tokens(self) -> int:
        """How many of an example's tokens are `[CLS]` or `[SEP]`."""
        return 2 if self.pairs == "none" else 3
