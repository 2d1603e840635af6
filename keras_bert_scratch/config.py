"""BertConfig: every size and rate of the network, and the published presets."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError

# Names that people use for some of the sizes (Turc et al. 2019; Devlin et al. 2019): layers, hidden size.
NAMED_SIZES = {
    "bert-tiny": (2, 128),
    "bert-mini": (4, 256),
    "bert-small": (4, 512),
    "bert-medium": (8, 512),
    "bert-base": (12, 768),
    "bert-large": (24, 1024),
}
# The 24 miniatures of Turc et al. 2019, each also as "bert-l6-h768".
MINIATURES = {
    f"bert-l{layers}-h{hidden}": (layers, hidden) for layers in (2, 4, 6, 8, 10, 12) for hidden in (128, 256, 512, 768)
}
PRESET_NAMES = (*NAMED_SIZES, *MINIATURES)

ACTIVATIONS = ("gelu", "gelu_tanh")


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes and rates that define a BERT encoder (Devlin et al. 2019, section 3 and appendix A.2).

    Args:
        vocab_size: number of WordPiece tokens; the rows of the token embedding.
        num_layers: encoder blocks, the paper's L.
        hidden_size: width of every position's vector, the paper's H.
        num_heads: attention heads, the paper's A; 0 means one per 64 of `hidden_size`.
        intermediate_size: width inside the feed-forward layer; 0 means 4 x `hidden_size`.
        max_position_embeddings: the longest sequence, in tokens.
        num_segments: kinds of segment (sentence A, sentence B).
        hidden_dropout: share of activations dropped after embeddings, attention and feed-forward, and before a head.
        attention_dropout: share of attention weights dropped.
        activation: `"gelu"` (exact, by the error function) or `"gelu_tanh"` (the approximation of Google's TF1 code).
        layer_norm_epsilon: added to the variance in every LayerNorm.
        initializer_range: standard deviation of the truncated normal that weights are drawn from.

    Raises:
        UserError: a size that cannot be, naming the field.

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

    def __post_init__(self) -> None:
        # A frozen dataclass is filled in this way only.
        object.__setattr__(self, "num_heads", self.num_heads or max(1, self.hidden_size // 64))
        object.__setattr__(self, "intermediate_size", self.intermediate_size or 4 * self.hidden_size)
        for field in (
            "vocab_size",
            "num_layers",
            "hidden_size",
            "num_heads",
            "intermediate_size",
            "max_position_embeddings",
            "num_segments",
        ):
            value = getattr(self, field)
            if not isinstance(value, int) or value < 1:
                raise UserError(f"BertConfig.{field}: must be a whole number from 1 on, not {value!r}")
        if self.hidden_size % self.num_heads:
            raise UserError(
                f"BertConfig.num_heads: {self.num_heads} does not divide hidden_size {self.hidden_size}; give a divisor"
            )
        for field in ("hidden_dropout", "attention_dropout"):
            if not 0 <= getattr(self, field) < 1:
                raise UserError(f"BertConfig.{field}: must be at least 0 and below 1, not {getattr(self, field)!r}")
        if self.activation not in ACTIVATIONS:
            raise UserError(
                f"BertConfig.activation: {self.activation!r} is unknown; choose one of {', '.join(ACTIVATIONS)}"
            )

    @classmethod
    def preset(cls, name: str, **changes: Any) -> BertConfig:
        """The published sizes called `name`, such as `"bert-tiny"` or `"bert-l6-h768"`, with `changes` laid over."""
        size = NAMED_SIZES.get(name) or MINIATURES.get(re.sub(r"[_\s]+", "-", name.lower()))
        if size is None:
            raise UserError(
                f"preset {name!r} is unknown; choose one of {', '.join(NAMED_SIZES)} "
                f"or bert-l{{2,4,6,8,10,12}}-h{{128,256,512,768}}"
            )
        return cls(**{"num_layers": size[0], "hidden_size": size[1], **changes})

    def check_length(self, max_length: int) -> None:
        """Raises `UserError` for rows of more tokens than there are positions."""
        if max_length > self.max_position_embeddings:
            raise UserError(
                f"max_length (--length): {max_length} tokens are more than the {self.max_position_embeddings} "
                f"positions of the model; ask for at most that, or for a config with more max_position_embeddings"
            )

    def replace(self, **changes: Any) -> BertConfig:
        """A copy with `changes` laid over."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Every field by name, as JSON can hold it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any], where: str = "BertConfig") -> BertConfig:
        """The config that `to_dict` gave; `where` names the origin in an error."""
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(cls)})
        if unknown:
            raise UserError(
                f"{where}: unknown field {unknown[0]!r}; was this file written by another program or a newer version?"
            )
        return cls(**values)

    def save(self, path: Path | str) -> None:
        """Writes the config to `path` as JSON."""
        atomic.write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path | str) -> BertConfig:
        """Reads what `save` wrote."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")), where=str(path))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is not a readable config ({error}); write one with BertConfig.save") from error
