"""BertConfig: every size and rate of the network, and the published presets."""

from __future__ import annotations

import dataclasses
import logging
import math
import re
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath

# Common names of some published sizes (Turc et al. 2019; Devlin et al. 2019): layers, hidden size.
NAMED_SIZES = {
    "bert-tiny": (2, 128),
    "bert-mini": (4, 256),
    "bert-small": (4, 512),
    "bert-medium": (8, 512),
    "bert-base": (12, 768),
    "bert-large": (24, 1024),
}
# The 24 miniatures of Turc et al. 2019, under names such as "bert-l6-h768".
MINIATURES = {
    f"bert-l{layers}-h{hidden}": (layers, hidden) for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)
}
PRESET_NAMES = (*NAMED_SIZES, *MINIATURES)

# Which other positions a position attends to: all, as in BERT; those before it, as in GPT; those after it; or, as in
# ELMo, two networks side by side, of which one attends to the positions before and the other to those after.
BOTH, LEFT_TO_RIGHT, RIGHT_TO_LEFT, JOINED = DIRECTIONS = ("both", "left-to-right", "right-to-left", "joined")
# "gelu_tanh" is the approximation by tanh, as in Google's TF1 code; "linear" is the identity.
ACTIVATIONS = ("gelu", "gelu_tanh", "linear", "relu", "silu", "tanh")
# The fields that determine the shapes of the weights, or (heads) their meaning: they cannot change after training.
SIZES = (
    "vocab_size",
    "num_layers",
    "hidden_size",
    "num_heads",
    "intermediate_size",
    "max_position_embeddings",
    "num_segments",
)
# Other programs pad the rows of the token embedding to multiples of these numbers, for speed.
PADDED_TO = (8, 16, 32, 64, 128, 256)
DROPOUT_RATES = ("hidden_dropout", "attention_dropout", "classifier_dropout")

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes and rates that define a BERT encoder (Devlin et al. 2019, section 3 and appendix A.2).

    Args:
        vocab_size: int, default 30522. Rows of the token embedding: at least as many as the vocabulary has tokens.
        num_layers: int, default 12. Encoder blocks, the paper's L.
        hidden_size: int, default 768. Width of every position's vector, the paper's H.
        num_heads: int, default 0. Attention heads, the paper's A; 0 means one per 64 of `hidden_size`.
        intermediate_size: int, default 0. Width inside the feed-forward layer; 0 means 4 x `hidden_size`.
        max_position_embeddings: int, default 512. The longest sequence, in tokens.
        num_segments: int, default 2. Number of segment types: sentence A, sentence B.
        hidden_dropout: float in [0, 1), default 0.1. Fraction of activations dropped after embeddings, attention and
            feed-forward.
        attention_dropout: float in [0, 1), default 0.1. Fraction of attention weights dropped.
        activation: str, default `"gelu"`. Activation of the feed-forward layer and of the masked-LM head, one of
            `ACTIVATIONS`. `"gelu"` is exact (error function); `"gelu_tanh"` is the approximation in Google's code.
        layer_norm_epsilon: float above 0, default 1e-12. Added to the variance in every LayerNorm.
        initializer_range: float, default 0.02. Standard deviation of the truncated normal that weights are drawn from.
        classifier_dropout: float in [0, 1) or `None`, default `None`. Fraction dropped before a classifier's last
            layer; `None` means `hidden_dropout`.
        direction: str, default `"both"`. Which positions each position attends to besides itself: `"both"` sides;
            `"left-to-right"`: only those before it, as in GPT; `"right-to-left"`: only those after it.
            `"joined"`: two networks of these sizes, one per direction, concatenated only at the top, as in ELMo
            (section 1 and figure 3).

    Raises:
        UserError: a field has the wrong type or is out of range; the message names it.

    Example:
        >>> config = BertConfig.preset("bert-mini", vocab_size=8000)
        >>> config.num_layers, config.hidden_size, config.num_heads, config.intermediate_size
        (4, 256, 4, 1024)
    """

    vocab_size: int = 30522
    num_layers: int = 12
    hidden_size: int = 768
    num_heads: int = 0
    intermediate_size: int = 0
    max_position_embeddings: int = 512
    num_segments: int = 2
    hidden_dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    layer_norm_epsilon: float = 1e-12
    initializer_range: float = 0.02
    classifier_dropout: float | None = None
    direction: str = BOTH

    def __post_init__(self) -> None:
        _check_size("hidden_size", self.hidden_size)
        # The only way to set a field of a frozen dataclass. The check below reports wrong types.
        if type(self.num_heads) is int and self.num_heads == 0:
            object.__setattr__(self, "num_heads", max(1, self.hidden_size // 64))
        if type(self.intermediate_size) is int and self.intermediate_size == 0:
            object.__setattr__(self, "intermediate_size", 4 * self.hidden_size)
        for field in SIZES:
            _check_size(field, getattr(self, field))
        if self.hidden_size % self.num_heads:
            raise UserError(
                f"`num_heads`: {self.num_heads} does not divide hidden_size {self.hidden_size}; give a divisor"
            )
        for field in DROPOUT_RATES:
            rate = getattr(self, field)
            if not (_is_number(rate) and 0 <= rate < 1) and (field, rate) != ("classifier_dropout", None):
                raise UserError(f"`{field}`: must be a number of at least 0 and below 1, not {rate!r}")
        if not (_is_number(self.layer_norm_epsilon) and self.layer_norm_epsilon > 0):
            raise UserError(f"`layer_norm_epsilon`: must be a number above 0, not {self.layer_norm_epsilon!r}")
        if not (_is_number(self.initializer_range) and self.initializer_range >= 0):
            raise UserError(f"`initializer_range`: must be a number of at least 0, not {self.initializer_range!r}")
        if self.activation not in ACTIVATIONS:
            raise UserError(f"`activation`: {self.activation!r} is unknown; choose one of {', '.join(ACTIVATIONS)}")
        if self.direction not in DIRECTIONS:
            raise UserError(f"`direction`: {self.direction!r} is unknown; choose one of {', '.join(DIRECTIONS)}")

    @property
    def head_dropout(self) -> float:
        """The fraction dropped before a classifier's last layer."""
        return self.hidden_dropout if self.classifier_dropout is None else self.classifier_dropout

    @classmethod
    def preset(cls, name: str, **changes: Any) -> BertConfig:
        """The published config `name`, such as `"bert-tiny"` or `"bert-l6-h768"`, with fields replaced by `changes`.

        Raises:
            UserError: there is no config of this name, or `changes` has a wrong value.
        """
        size = NAMED_SIZES.get(name) or MINIATURES.get(re.sub(r"[_\s]+", "-", name.lower()))
        if size is None:
            raise UserError(
                f"`preset`: {name!r} is unknown; choose one of {', '.join(NAMED_SIZES)} "
                f"or bert-l{{2,4,6,8,10,12}}-h{{128,256,512,768}}"
            )
        return cls(**{"num_layers": size[0], "hidden_size": size[1], **changes})

    def check_length(self, max_length: int) -> None:
        """Raises `UserError` if rows of `max_length` tokens are longer than the model has positions."""
        if max_length > self.max_position_embeddings:
            raise UserError(
                f"`max_length`: {max_length} tokens are more than the {self.max_position_embeddings} "
                f"positions of the model; use at most that many, or a config with more max_position_embeddings"
            )

    def check_pairs(self) -> None:
        """Raises `UserError` if the model has only one segment type: pairs of texts need two."""
        if self.num_segments < 2:
            raise UserError(
                f"`num_segments`: the model has {self.num_segments} segment type (type_vocab_size), but text pairs "
                f"need 2; give single texts, or a model with more"
            )

    def check_vocabulary(self, num_tokens: int, origin: Path | str) -> None:
        """Raises `UserError` if the vocabulary in `origin` has more tokens than the token embedding has rows.

        More rows than tokens are allowed: many models pad the embedding to a multiple of 8 or 64. A surplus that such
        padding does not explain is logged as a warning, because it may be another model's vocabulary.
        """
        rows = self.vocab_size
        if num_tokens > rows:
            raise UserError(
                f"{origin}: the vocabulary has {num_tokens} tokens, but the model's token embedding (vocab_size) has "
                f"only {rows} rows; give the vocabulary that the model was trained with"
            )
        padded = any(rows % multiple == 0 and rows - num_tokens < multiple for multiple in PADDED_TO)
        if num_tokens < rows and not padded:
            log.warning(
                "%s: the vocabulary has %d tokens, but the model's token embedding has %d rows, more than padding "
                "explains; make sure that it is the vocabulary that the model was trained with",
                origin,
                num_tokens,
                rows,
            )

    def replace(self, **changes: Any) -> BertConfig:
        """A copy with the fields `changes` replaced."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """All fields by name, JSON-serializable; `direction` only if it is not BERT's."""
        values = dataclasses.asdict(self)
        if self.direction == BOTH:  # as in files that were written before this field existed
            del values["direction"]
        return values

    def override(self, **changes: Any) -> BertConfig:
        """A copy with the fields `changes` replaced, for a trained model, whose sizes cannot change.

        Raises:
            UserError: `changes` gives a field of `SIZES` another value; the message names it.

        Example:
            >>> BertConfig.preset("bert-tiny").override(hidden_dropout=0.0).hidden_dropout
            0.0
        """
        for field in SIZES:
            if field in changes and changes[field] != getattr(self, field):
                raise UserError(
                    f"`{field}`: is {getattr(self, field)} in the weights and cannot become {changes[field]!r}; "
                    f"leave it out"
                )
        return self.replace(**changes)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "BertConfig") -> BertConfig:
        """The config from what `to_dict` returned; `where` names the origin in error messages.

        Raises:
            UserError: `values` is not a dict, has an unknown field, or a field is wrong.
        """
        if not isinstance(values, dict):
            raise UserError(f"{where}: should hold the config's fields, not {values!r}; write the model again")
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise UserError(
                f"{where}: unknown field {unknown[0]!r}; was this file written by another program or a newer version?"
            )
        try:
            return cls(**values)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def save(self, path: AnyPath | str) -> None:
        """Writes the config to the file `path`, local or at an address, as JSON."""
        atomic.write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: AnyPath | str) -> BertConfig:
        """Reads what `save` wrote.

        Raises:
            UserError: the file is missing, is not JSON, or holds no valid config.
        """
        return cls.from_dict(atomic.read_json(path, "write one with BertConfig.save"), where=str(path))


def _check_size(field: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise UserError(f"`{field}`: must be a whole number of at least 1, not {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
