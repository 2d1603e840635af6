"""Checkpoint: what every format is read into and written from; which tensors a model has, by our names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.text.vocabulary import Vocabulary

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What stands on the encoder.

    Args:
        heads: the parts of the network above the encoder, by the first word of their tensors' names.
        needs_pooler: whether they read the pooled vector; where they do not, there may be a pooler or none.
        num_classes: the size of a task's head where it is always the same.
    """

    heads: tuple[str, ...]
    needs_pooler: bool
    num_classes: int | None = None


# By the name of the class in `models`.
ARCHITECTURES = {
    "BertBackbone": Architecture((), False),
    "BertPretrainer": Architecture(("masked_lm", "next_sentence"), True),
    "BertMaskedLM": Architecture(("masked_lm",), False),
    "BertNextSentencePredictor": Architecture(("next_sentence",), True),
    "BertTextClassifier": Architecture(("logits",), True),
    "BertTokenClassifier": Architecture(("logits",), False),
    "BertQuestionAnswerer": Architecture(("logits",), False, 2),
    "BertMultipleChoice": Architecture(("logits",), True, 1),
}


@dataclasses.dataclass
class Checkpoint:
    """A model at rest: numbers by name, and all that is needed to use them.

    Args:
        architecture: one of `ARCHITECTURES`.
        config: sizes and rates.
        weights: float32 arrays by the names that they have in our code, `encoder_block_0/attention/query/kernel`.
        vocabulary: its words, if they came along.
        lowercase: whether the vocabulary is uncased; `None` means to look at it.
        label_names: what the classes are called; empty if they have no names.
        step: how many steps it was trained, where the file says.
        notes: what a reader of the conversion should know, a sentence each.
    """

    architecture: str
    config: BertConfig
    weights: dict[str, np.ndarray]
    vocabulary: Vocabulary | None = None
    lowercase: bool | None = None
    label_names: tuple[str, ...] = ()
    step: int | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def has_pooler(self) -> bool:
        """Whether there is a pooler, which some heads do without."""
        return "pooler/dense/kernel" in self.weights

    @property
    def num_classes(self) -> int | None:
        """How many classes the task's head tells apart, if there is one."""
        return self.weights["logits/bias"].shape[0] if "logits/bias" in self.weights else None

    @property
    def num_parameters(self) -> int:
        """Numbers in all weights together."""
        return sum(tensor.size for tensor in self.weights.values())


def encoder_shapes(config: BertConfig) -> dict[str, Shape]:
    """Name and shape of every tensor of embeddings and encoder blocks.

    Example:
        >>> encoder_shapes(BertConfig(num_layers=1, hidden_size=64))["encoder_block_0/feed_forward/output/kernel"]
        (256, 64)
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = {
        "embeddings/token_embedding": (config.vocab_size, hidden),
        "embeddings/segment_embedding": (config.num_segments, hidden),
        "embeddings/position_embedding": (config.max_position_embeddings, hidden),
        **_layer_norm("embeddings/layer_norm", hidden),
    }
    for index in range(config.num_layers):
        block = f"encoder_block_{index}"
        for name in ("query", "key", "value", "output"):
            shapes |= _dense(f"{block}/attention/{name}", hidden, hidden)
        shapes |= _layer_norm(f"{block}/attention_layer_norm", hidden)
        shapes |= _dense(f"{block}/feed_forward/intermediate", hidden, inner)
        shapes |= _dense(f"{block}/feed_forward/output", inner, hidden)
        shapes |= _layer_norm(f"{block}/feed_forward_layer_norm", hidden)
    return shapes


def model_shapes(config: BertConfig, architecture: str, pooler: bool, num_classes: int = 0) -> dict[str, Shape]:
    """Name and shape of every tensor of a model.

    Args:
        config: sizes.
        architecture: one of `ARCHITECTURES`.
        pooler: whether there is one even if no head needs it.
        num_classes: size of a task's head, where there is one and the architecture leaves it open.
    """
    made_of = ARCHITECTURES[architecture]
    hidden = config.hidden_size
    shapes = {
        "masked_lm": {
            **_dense("masked_lm/transform", hidden, hidden),
            **_layer_norm("masked_lm/layer_norm", hidden),
            "masked_lm/bias": (config.vocab_size,),
        },
        "next_sentence": _dense("next_sentence/dense", hidden, 2),
        "logits": _dense("logits", hidden, made_of.num_classes or num_classes),
    }
    found = encoder_shapes(config)
    if pooler or made_of.needs_pooler:
        found |= _dense("pooler/dense", hidden, hidden)
    for head in made_of.heads:
        found |= shapes[head]
    return found


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _layer_norm(name: str, size: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (size,), f"{name}/beta": (size,)}


def take_tensors(
    origin: Path | str,
    shapes: Mapping[str, Shape],
    theirs: Callable[[str], str],
    held: Mapping[str, np.ndarray],
    to_ours: Callable[[str, np.ndarray], np.ndarray] = lambda name, tensor: tensor,
) -> dict[str, np.ndarray]:
    """The tensors that a model has, out of a file with other names.

    Args:
        origin: the file, for errors.
        shapes: our names and shapes.
        theirs: the file's name for one of ours.
        held: what the file holds.
        to_ours: turns their tensor of our name into ours, before its shape is compared.

    Returns: float32 arrays by our names.

    Raises:
        UserError: a tensor is missing or has another shape; it names theirs.

    Example:
        >>> take_tensors("file", {"a": (2,)}, str.upper, {"A": np.ones(2)})["a"].dtype
        dtype('float32')
    """
    weights = {}
    for name, shape in shapes.items():
        if theirs(name) not in held:
            raise UserError(f"{origin}: lacks the tensor {theirs(name)}, which the config asks for; copy it again")
        tensor = to_ours(name, held[theirs(name)])
        if tensor.shape != shape:
            raise UserError(
                f"{origin}: the tensor {theirs(name)} has the shape {held[theirs(name)].shape}, but the config asks "
                f"for {shape}; they are not of the same model"
            )
        weights[name] = np.ascontiguousarray(tensor, dtype=np.float32)
    return weights


def check_vocabulary_size(origin: Path | str, vocabulary: Vocabulary, config: BertConfig) -> None:
    """Raises `UserError` when the vocabulary and the token table are of different sizes."""
    if len(vocabulary) != config.vocab_size:
        raise UserError(
            f"{origin}: the vocabulary ({vocabulary.origin}) has {len(vocabulary)} tokens, the config "
            f"{config.vocab_size}; give the one that the model was trained with, placeholders like [unused0] included"
        )


def refuse_others(origin: Path | str, held: Iterable[str], wanted: Iterable[str]) -> None:
    """Raises `UserError` when a file holds a tensor that no part of the model wants: it would be lost unnoticed."""
    others = sorted(set(held) - set(wanted))
    if others:
        raise UserError(
            f"{origin}: also holds {', '.join(others[:3])}{' and more' * (len(others) > 3)}, which belongs to no head "
            f"of BERT known here; take it out first if it is not needed"
        )


def pretraining_architecture(masked_lm: bool, next_sentence: bool) -> str:
    """Which of the models without a task's head has just these heads.

    Example:
        >>> pretraining_architecture(masked_lm=False, next_sentence=True)
        'BertNextSentencePredictor'
    """
    heads = ("masked_lm",) * masked_lm + ("next_sentence",) * next_sentence
    return next(name for name, architecture in ARCHITECTURES.items() if architecture.heads == heads)
