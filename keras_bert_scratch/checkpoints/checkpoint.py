"""Checkpoint: what every format is read into and written from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import CRF_TRANSITIONS, Shape, model_shapes
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.word_rules import WordRules

TASK_FILE = "task.json"  # what a model was fine-tuned for, beside it in whatever format
RUN_FILE = "run.json"  # how it was trained

# What a text classifier's outputs can be, in Hugging Face's words.
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def check_is_no_export(directory: AnyPath | str) -> None:
    """Raises `UserError` for a SavedModel of `keras-bert export`, whose weights are in a graph."""
    folder = path_of(directory)
    if (folder / "saved_model.pb").exists() and (folder / TASK_FILE).exists():
        raise UserError(f"{folder}: is a SavedModel; give the run or model that it was exported from")


def finished_run(directory: AnyPath | str) -> dict[str, Any]:
    """What `run.json` in the folder says, of a run that is finished; else nothing."""
    file = path_of(directory) / RUN_FILE
    found = atomic.read_json(file, "restore it or delete it") if file.exists() else {}
    return found if "ended" in found and {"settings", "results", "started"} <= found.keys() else {}


class Converted(Mapping[str, np.ndarray]):
    """Arrays made of something else when they are asked for, anew each time: none of them stays in memory.

    Args:
        sources: mapping. By the arrays' names, such as a model's variables.
        convert: function. From a source to its array.

    Example:
        >>> {name: array.shape for name, array in Converted({"bias": [0.0, 0.0]}, np.array).items()}
        {'bias': (2,)}
    """

    def __init__(self, sources: Mapping[str, Any], convert: Callable[[Any], np.ndarray]) -> None:
        self._sources = sources
        self._convert = convert

    def __getitem__(self, name: str) -> np.ndarray:
        return self._convert(self._sources[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)


@dataclasses.dataclass(frozen=True)
class Embedding:
    """How a model makes a vector of a text.

    Args:
        pooling: str, default "mean". One of `POOLINGS` in `layers.text_pooling`.
        normalize: bool, default True. Whether the vectors have length 1.
        layer_numbers: tuple of int or `None`, default `(-1,)`. The layers, 0 for the embeddings; `None` for all.
        max_length: int or `None`, default `None`. Tokens of a text at most; `None` for the model's positions.
    """

    pooling: str = "mean"
    normalize: bool = True
    layer_numbers: tuple[int, ...] | None = (-1,)
    max_length: int | None = None

    @property
    def described(self) -> str:
        """In words.

        Example:
            >>> Embedding(max_length=256).described
            'mean of the tokens, length 1, at most 256 tokens'
        """
        pooling = {"cls": "[CLS]", "none": "every token"}.get(self.pooling, f"{self.pooling} of the tokens")
        layers = "all" if self.layer_numbers is None else ", ".join(map(str, self.layer_numbers))
        return (
            pooling
            + f", layers {layers}" * (self.layer_numbers != (-1,))
            + ", length 1" * (self.normalize and self.pooling != "none")
            + f", at most {self.max_length} tokens" * (self.max_length is not None)
        )


@dataclasses.dataclass
class Checkpoint:
    """A model at rest: arrays by name, and all that is needed to use them.

    Args:
        architecture: str. One of `ARCHITECTURES`.
        config: BertConfig. Sizes and rates.
        weights: mapping. float32 arrays by the names that they have in our code,
            `encoder_block_0/attention/query/kernel`.
        vocabulary: Vocabulary or `None`. Its tokens, if they came along.
        rules: WordRules or `None`. How text becomes words, where the vocabulary came along.
        label_names: tuple of str, default empty. What the classes are called; empty if they have no names.
        problem_type: str or `None`, default `None`. What a text classifier's outputs are: `"regression"`,
            `"single_label_classification"`, `"multi_label_classification"`; `None` where the file does not say.
        embedding: Embedding or `None`, default `None`. How it makes a vector of a text, where the folder says so.
        step: int or `None`, default `None`. How many steps it was trained, where the file says.
        decoder: BertConfig or `None`, default `None`. Sizes and rates of a decoder with embeddings of its own.
        target_vocabulary, target_rules: as `vocabulary` and `rules`, default `None`. Of the texts that a decoder
            writes, where they are others.
        task: bytes or `None`, default `None`. The `task.json` that lay beside it: what the model was fine-tuned for.
        run: mapping, default empty. What the `run.json` beside it says, of a training that is finished.
        notes: list of str. What a reader of the conversion should know, a sentence each.
    """

    architecture: str
    config: BertConfig
    weights: Mapping[str, np.ndarray]
    vocabulary: Vocabulary | None = None
    rules: WordRules | None = None
    label_names: tuple[str, ...] = ()
    problem_type: str | None = None
    embedding: Embedding | None = None
    step: int | None = None
    decoder: BertConfig | None = None
    target_vocabulary: Vocabulary | None = None
    target_rules: WordRules | None = None
    task: bytes | None = None
    run: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def lowercase(self) -> bool | None:
        """Whether the vocabulary is uncased."""
        return self.rules.lowercase if self.rules else None

    @property
    def has_pooler(self) -> bool:
        """Whether there is a pooler, which some heads do without."""
        return "pooler/dense/kernel" in self.weights

    @property
    def has_crf(self) -> bool:
        """Whether there is a conditional random field, which a token classifier may have."""
        return CRF_TRANSITIONS in self.weights

    @property
    def num_classes(self) -> int | None:
        """How many classes the task's head tells apart, if there is one."""
        return self.weights["logits/bias"].shape[0] if "logits/bias" in self.weights else None

    @property
    def num_parameters(self) -> int:
        """Numbers in all weights together."""
        return sum(tensor.size for tensor in self.weights.values())

    def check(self) -> None:
        """Raises `UserError` unless the weights are exactly those of a model of this architecture and these sizes."""
        wanted = model_shapes(
            self.config, self.architecture, self.has_pooler, self.num_classes or 0, self.has_crf, self.decoder
        )
        held = {name: tensor.shape for name, tensor in self.weights.items()}
        wrong = sorted(name for name in wanted.keys() | held.keys() if wanted.get(name) != held.get(name))
        if wrong:
            raise UserError(
                f"the model: its tensor {wrong[0]} has the shape {held.get(wrong[0])} where a {self.architecture} has "
                f"{wanted.get(wrong[0])}{f' ({len(wrong)} such)' if len(wrong) > 1 else ''}; nothing was written"
            )
        if self.label_names and len(self.label_names) != self.num_classes:
            raise UserError(
                f"`label_names`: has {len(self.label_names)} names for {self.num_classes} classes; give one for each"
            )


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
            raise UserError(
                f"{origin}: lacks the tensor {theirs(name)}, which the config asks for; {_mend(theirs(name), held)}"
            )
        tensor = to_ours(name, held[theirs(name)])
        if tensor.shape != shape:
            raise UserError(
                f"{origin}: the tensor {theirs(name)} has the shape {held[theirs(name)].shape}, but the config asks "
                f"for {shape}; they are not of the same model"
            )
        weights[name] = np.ascontiguousarray(tensor, dtype=np.float32)
    return weights


def _mend(missing: str, held: Iterable[str]) -> str:
    """What to do about a tensor that is missing: it may be there with something else in front of its name."""
    _, separator, end = missing.replace("/", ".").partition(".")
    other = next((name for name in held if separator and name.replace("/", ".").endswith(f".{end}")), None)
    return f"it has {other} instead: rename its tensors" if other else "copy it again"


def refuse_others(origin: Path | str, held: Iterable[str], wanted: Iterable[str]) -> None:
    """Raises `UserError` when a file holds a tensor that no part of the model wants: it would be lost unnoticed."""
    others = sorted(set(held) - set(wanted))
    if others:
        raise UserError(
            f"{origin}: also holds {', '.join(others[:3])}{' and more' * (len(others) > 3)}, which belongs to no head "
            f"of BERT known here; take it out first if it is not needed"
        )
