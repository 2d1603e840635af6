"""Checkpoint: the in-memory form that every format is read into and written from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_scratch import atomic
from keras_bert_scratch.checkpoints.architectures import CRF_TRANSITIONS, Shape, model_shapes
from keras_bert_scratch.config import BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.file_set import read_current
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.text.vocabulary import Vocabulary
from keras_bert_scratch.text.word_rules import WordRules

TASK_FILE = "task.json"  # what a model was fine-tuned for, next to it in any format
RUN_FILE = "run.json"  # how it was trained

# What a text classifier's outputs can be, in Hugging Face's terms.
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")


def check_is_no_export(directory: AnyPath | str) -> None:
    """Raises `UserError` for a SavedModel of `keras-bert export`, whose weights are in a graph."""
    folder = path_of(directory)
    if (folder / "saved_model.pb").exists() and (folder / TASK_FILE).exists():
        raise UserError(f"{folder}: is a SavedModel; give the run or model that it was exported from")


def read_task(directory: AnyPath | str) -> bytes | None:
    """The content of `task.json` in the folder, even if it is damaged; `None` if there is none of ours.

    KerasHub's presets have a file of this name too. Ours has a field `task`.
    """
    content = read_current(directory, TASK_FILE, lambda file: file.read_bytes())
    if content is None:
        return None
    try:
        values = json.loads(content)
    except ValueError:
        return content
    return None if isinstance(values, dict) and values and "task" not in values else content


def finished_run(directory: AnyPath | str) -> dict[str, Any]:
    """The content of `run.json` in the folder if the run is finished; else an empty dict."""
    file = path_of(directory) / RUN_FILE
    found = atomic.read_json(file, "restore it or delete it") if file.exists() else {}
    return found if "ended" in found and {"settings", "results", "started"} <= found.keys() else {}


class Converted(Mapping[str, np.ndarray]):
    """Arrays that are converted from their sources at every access, so that none of them stays in memory.

    Args:
        sources: mapping. Sources by the names of the arrays, such as a model's variables.
        convert: function. Maps a source to its array.

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
    """How a model turns a text into a vector.

    Args:
        pooling: str, default "mean". One of `POOLINGS` in `layers.text_pooling`.
        normalize: bool, default True. Whether the vectors have length 1.
        layer_numbers: tuple of int or `None`, default `(-1,)`. The layers, 0 for the embeddings; `None` for all.
        max_length: int or `None`, default `None`. Maximum tokens per text; `None` for the model's positions.
    """

    pooling: str = "mean"
    normalize: bool = True
    layer_numbers: tuple[int, ...] | None = (-1,)
    max_length: int | None = None

    @property
    def described(self) -> str:
        """A description in words.

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
    """A stored model: arrays by name, and all that is needed to use them.

    Args:
        architecture: str. One of `ARCHITECTURES`.
        config: BertConfig. Sizes and rates.
        weights: mapping. float32 arrays by their names in our code, such as
            `encoder_block_0/attention/query/kernel`.
        vocabulary: Vocabulary or `None`. Its tokens, if the folder has them.
        rules: WordRules or `None`. How text is split into words, if the folder has a vocabulary.
        label_names: tuple of str, default empty. Names of the classes; empty if they have none.
        problem_type: str or `None`, default `None`. What a text classifier's outputs are: `"regression"`,
            `"single_label_classification"`, `"multi_label_classification"`; `None` if the file does not say.
        embedding: Embedding or `None`, default `None`. How it turns a text into a vector, if the folder says so.
        step: int or `None`, default `None`. Number of training steps, if the file says so.
        decoder: BertConfig or `None`, default `None`. Sizes and rates of a decoder with embeddings of its own.
        target_vocabulary, target_rules: as `vocabulary` and `rules`, default `None`. For the texts that a decoder
            generates, if they differ from those of the source.
        task: bytes or `None`, default `None`. The `task.json` next to it: what the model was fine-tuned for.
        run: mapping, default empty. The content of the `run.json` next to it, if the training is finished.
        notes: list of str. What the user should know about the conversion, one sentence each.
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
        """Whether there is a pooler, which some heads do not need."""
        return "pooler/dense/kernel" in self.weights

    @property
    def has_crf(self) -> bool:
        """Whether there is a conditional random field, which a token classifier may have."""
        return CRF_TRANSITIONS in self.weights

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the task's head, if there is one."""
        return self.weights["logits/bias"].shape[0] if "logits/bias" in self.weights else None

    @property
    def num_parameters(self) -> int:
        """Number of parameters in all weights together."""
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
                f"the model: its tensor {wrong[0]} has the shape {held.get(wrong[0])}, but a {self.architecture} needs "
                f"{wanted.get(wrong[0])}{f' ({len(wrong)} in all)' if len(wrong) > 1 else ''}; nothing was written"
            )
        if self.label_names and len(self.label_names) != self.num_classes:
            raise UserError(
                f"`label_names`: has {len(self.label_names)} names for {self.num_classes} classes; give one for each"
            )


def select_tensors(
    origin: Path | str,
    shapes: Mapping[str, Shape],
    theirs: Callable[[str], str],
    held: Mapping[str, np.ndarray],
    to_ours: Callable[[str, np.ndarray], np.ndarray] = lambda name, tensor: tensor,
) -> dict[str, np.ndarray]:
    """Selects a model's tensors from a file that has other names for them.

    Args:
        origin: the file, for errors.
        shapes: our names and shapes.
        theirs: maps our name to the file's name.
        held: the tensors in the file, by the file's names.
        to_ours: called with our name and the file's tensor; converts it to ours, before its shape is compared.

    Returns: float32 arrays by our names.

    Raises:
        UserError: a tensor is missing or has another shape; the message has the file's name of it.

    Example:
        >>> select_tensors("file", {"a": (2,)}, str.upper, {"A": np.ones(2)})["a"].dtype
        dtype('float32')
    """
    weights = {}
    for name, shape in shapes.items():
        if theirs(name) not in held:
            hint = _missing_tensor_hint(theirs(name), held)
            raise UserError(f"{origin}: lacks the tensor {theirs(name)}, which the config requires; {hint}")
        tensor = to_ours(name, held[theirs(name)])
        if tensor.shape != shape:
            raise UserError(
                f"{origin}: the tensor {theirs(name)} has the shape {held[theirs(name)].shape}, but the config "
                f"requires {shape}; they are not from the same model"
            )
        weights[name] = np.ascontiguousarray(tensor, dtype=np.float32)
    return weights


def _missing_tensor_hint(missing: str, held: Iterable[str]) -> str:
    """What to do about a missing tensor: the file may have it under a name with another prefix."""
    _, separator, end = missing.replace("/", ".").partition(".")
    other = next((name for name in held if separator and name.replace("/", ".").endswith(f".{end}")), None)
    return f"it has {other} instead: rename its tensors" if other else "copy it again"


def check_no_extra_tensors(origin: Path | str, held: Iterable[str], wanted: Iterable[str]) -> None:
    """Raises `UserError` if a file holds a tensor that no part of the model uses: it would be lost unnoticed."""
    others = sorted(set(held) - set(wanted))
    if others:
        raise UserError(
            f"{origin}: also holds {', '.join(others[:3])}{' and more' * (len(others) > 3)}, which no known BERT head "
            f"has; remove such tensors first if they are not needed"
        )
