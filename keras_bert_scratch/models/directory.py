"""Models in folders: written in our form, built from anybody's."""

from __future__ import annotations

import importlib
import inspect
import logging
from pathlib import Path
from typing import Any, Self

import keras

from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.checkpoint import ARCHITECTURES, Checkpoint
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.errors import UserError

# Where each architecture is defined; imported when a folder asks for it, as each of them imports this file.
MODULES = {
    "BertBackbone": "backbone",
    "BertPretrainer": "pretrainer",
    "BertMaskedLM": "masked_lm",
    "BertNextSentencePredictor": "next_sentence_predictor",
    "BertTextClassifier": "text_classifier",
    "BertTokenClassifier": "token_classifier",
    "BertQuestionAnswerer": "question_answerer",
    "BertMultipleChoice": "multiple_choice",
}
log = logging.getLogger(__name__)


class SavedAsDirectory:
    """`save_pretrained` and `from_pretrained` for the models here."""

    def to_checkpoint(self, tokenizer: Any = None, label_names: tuple[str, ...] = ()) -> Checkpoint:
        """The model as numbers, ready to be written in any format of `checkpoints`.

        Args:
            tokenizer: the `BertTokenizer` whose vocabulary goes along, if any.
            label_names: what a classifier's classes are called.
        """
        model: Any = self
        return Checkpoint(
            type(self).__name__,
            getattr(model, "backbone", model).config,
            {name: keras.ops.convert_to_numpy(variable) for name, variable in _named_weights(model).items()},
            tokenizer and tokenizer.vocabulary,
            tokenizer and tokenizer.lowercase,
            label_names,
        )

    def save_pretrained(self, path: Path | str, tokenizer: Any = None) -> None:
        """Writes the model, and its tokenizer if one is given, into the folder `path`, replacing files of these names.

        Each file is written aside and renamed, the weights last: a folder with `model.weights.h5` is whole.
        """
        native.write(self.to_checkpoint(tokenizer), Path(path))

    @classmethod
    def from_pretrained(cls, path: Path | str, dtype: Any = None, packed: bool = False, **arguments: Any) -> Self:
        """The model in a folder: ours, Hugging Face's, Google's, the Model Garden's or KerasHub's, told by its files.

        A model of another class gives its encoder, and its heads as far as this class has them. What then starts from
        random numbers is listed in the log (`logging`, level WARNING).

        Args:
            path: the folder.
            dtype: Keras dtype policy for the layers.
            packed: whether its rows hold several examples each; see `BertBackbone`.
            arguments: what a new head needs, such as `num_classes=2`.

        Raises:
            UserError: the folder or one of its files is missing or not what it should be.
        """
        return model_from_checkpoint(read_checkpoint(path), cls, path, dtype, packed, **arguments)


def load_model(path: Path | str, dtype: Any = None) -> Any:
    """Whatever model the folder `path` holds, as the class that it is."""
    checkpoint = read_checkpoint(path)
    return model_from_checkpoint(checkpoint, model_class(checkpoint.architecture), path, dtype)


def model_from_checkpoint(
    checkpoint: Checkpoint, cls: Any, path: Path | str, dtype: Any = None, packed: bool = False, **arguments: Any
) -> Any:
    """A model of class `cls` with the checkpoint's weights, and new ones where it has none."""
    same = cls.__name__ == checkpoint.architecture
    backbone_class = model_class("BertBackbone")
    pooler = ARCHITECTURES[cls.__name__].needs_pooler or (checkpoint.has_pooler and (same or cls is backbone_class))
    backbone = backbone_class(checkpoint.config, dtype=dtype, pooler=pooler, packed=packed)
    if cls is backbone_class:
        model = backbone
    else:
        if same and "num_classes" in inspect.signature(cls).parameters:
            arguments.setdefault("num_classes", checkpoint.num_classes)
        model = cls(backbone, **_complete(cls, arguments, checkpoint, path))
    fresh = []
    for name, variable in _named_weights(model).items():
        tensor = checkpoint.weights.get(name)
        # Heads of different tasks have the same name, and a new number of classes makes a new head.
        if tensor is None or tensor.shape != tuple(variable.shape) or (name.startswith("logits/") and not same):
            fresh.append(name)
        else:
            variable.assign(tensor)
    for note in checkpoint.notes:
        log.warning("%s: %s", path, note)
    if fresh:
        log.warning("%s: has no %s; they start from random numbers and want training", path, ", ".join(sorted(fresh)))
    return model


def _complete(cls: Any, arguments: dict[str, Any], checkpoint: Checkpoint, path: Path | str) -> dict[str, Any]:
    """The arguments, if none that a new head needs is missing."""
    for name, parameter in inspect.signature(cls).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if needed and name not in ("backbone", *arguments):
            raise UserError(f"{path}: holds a {checkpoint.architecture}, so a new {cls.__name__} needs {name}=...")
    return arguments


def _named_weights(model: Any) -> dict[str, Any]:
    """The weights by the names that they have in every file of ours, which are those of the layers in the code."""
    return {variable.path: variable for variable in model.trainable_variables}


def model_class(architecture: str) -> Any:
    """The class called `architecture`."""
    return getattr(importlib.import_module(f"keras_bert_scratch.models.{MODULES[architecture]}"), architecture)
