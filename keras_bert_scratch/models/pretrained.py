"""Models in folders: `save_pretrained` writes our format, `from_pretrained` loads a model from any known format."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np

from keras_bert_scratch.checkpoints import native
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES, CRF_TRANSITIONS
from keras_bert_scratch.checkpoints.checkpoint import Checkpoint, Converted
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.checkpoints.labels import have_names, reordered_head
from keras_bert_scratch.config import SIZES, BertConfig
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath, path_of
from keras_bert_scratch.models.freezing import freeze, frozen_paths
from keras_bert_scratch.models.inputs import NamedInputs
from keras_bert_scratch.models.trainable import HasObjectives

if TYPE_CHECKING:
    from keras_bert_scratch.models.backbone import BertBackbone

log = logging.getLogger(__name__)
CONFIG_FIELDS = frozenset(field.name for field in dataclasses.fields(BertConfig))


class Pretrained:
    """`save_pretrained` and `from_pretrained` for the models here."""

    def to_checkpoint(self, tokenizer: Any = None, label_names: Sequence[str] = ()) -> Checkpoint:
        """The model's weights, trainable or not, as float32, ready to be written in any format of `checkpoints`.

        Args:
            tokenizer: BertTokenizer or `None`, default `None`. The tokenizer to include.
            label_names: str per class, default empty. Names of a classifier's classes; empty means the model's own
                `label_names`.
        """
        weights = {
            name: keras.ops.convert_to_numpy(variable).astype(np.float32, copy=False)
            for name, variable in _named_weights(self).items()
        }
        return self._checkpoint(weights, tokenizer, label_names)

    def _checkpoint(self, weights: Mapping[str, np.ndarray], tokenizer: Any, label_names: Sequence[str]) -> Checkpoint:
        model: Any = self
        target = tokenizer.own_target if tokenizer else None
        return Checkpoint(
            type(self).__name__,
            getattr(model, "backbone", model).config,
            weights,
            tokenizer and tokenizer.vocabulary,
            tokenizer and tokenizer.rules,
            tuple(label_names or getattr(model, "label_names", ())),
            getattr(model, "problem_type", None),
            getattr(model, "embedding", None),
            decoder=getattr(model, "own_decoder", None),
            target_vocabulary=target and target.vocabulary,
            target_rules=target and target.rules,
        )

    @classmethod
    def initial_weights(cls, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A checkpoint's weights; overridden by classes that initialize further parts with copies of them."""
        return weights

    def save_pretrained(self, path: AnyPath | str, tokenizer: Any = None) -> None:
        """Writes the model, and its tokenizer if one is given, into the folder `path`; other files in it are kept.

        Weights are stored as float32: those of a model in float64 are rounded.

        An existing model is replaced atomically: even if the process or the machine dies, the folder holds the old or
        the new model. At an address, where folders cannot be renamed, it may then hold no readable model.

        Args:
            path: str, Path or an address such as `"gs://bucket/model"`. The folder; created if it is missing.
            tokenizer: BertTokenizer or `None`, default `None`. `None` keeps a vocabulary that the folder has.

        Raises:
            UserError: the folder cannot be written, or its vocabulary has more tokens than the model.

        Example:
            >>> from keras_bert_scratch import BertBackbone
            >>> backbone = BertBackbone(BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2))
            >>> backbone.save_pretrained("model")
            >>> BertBackbone.from_pretrained("model", hidden_dropout=0.0).config.hidden_dropout
            0.0
        """
        # Not `convert_to_numpy`, which copies a TensorFlow variable twice.
        weights = Converted(_named_weights(self), lambda variable: np.asarray(variable).astype(np.float32, copy=False))
        native.write(self._checkpoint(weights, tokenizer, ()), path)

    @classmethod
    def from_pretrained(
        cls,
        path: AnyPath | str,
        dtype: Any = None,
        packed: bool = False,
        remat: bool = False,
        config: BertConfig | None = None,
        **arguments: Any,
    ) -> Self:
        """Loads the model in a folder of our format, Hugging Face's, Google's, the Model Garden's or KerasHub's.

        From a model of another class, it loads the encoder and those pretraining heads that this class has. Weights
        that then start from random numbers are listed in the log (`logging`, level WARNING), as are ignored settings.

        Args:
            path: str, Path or an address such as `"gs://bucket/model"` or `"hf://google-bert/bert-base-uncased"`. The
                folder.
            dtype: Keras dtype policy of the layers, default Keras's own. Weights of any stored dtype become float32.
            packed: bool, default `False`. Whether a row holds several examples; see `BertBackbone`.
            remat: bool, default `False`. Whether training recomputes activations to save memory; see `BertBackbone`.
            config: BertConfig or `None`, default `None`. Replaces the stored config; must have the same sizes.
            arguments: fields of `BertConfig`, except sizes, that replace stored ones (`hidden_dropout=0.2`), also those
                of a decoder with embeddings of its own; and arguments of this class's constructor, such as
                `num_classes=2` for a new head. `label_names` in another order than the stored ones reorder the classes
                of the head; other names create a new head.

        Raises:
            UserError: the folder or one of its files is missing or invalid, or an argument does not fit.
        """
        checkpoint = read_checkpoint(path)
        given = {name: arguments.pop(name) for name in CONFIG_FIELDS & arguments.keys()}
        changes = given if config is None else {**dataclasses.asdict(config), **given}
        checkpoint.config = checkpoint.config.override(**changes)
        if checkpoint.decoder is not None:
            rates = {name: value for name, value in given.items() if name not in (*SIZES, "direction")}
            checkpoint.decoder = checkpoint.decoder.replace(**rates)
        return model_from_checkpoint(checkpoint, cls, path_of(path), dtype, packed, remat, **arguments)


class OnBackbone(NamedInputs, HasObjectives, Pretrained):
    """A model with a `backbone`, and its Keras config; `head_arguments` names its other constructor arguments."""

    head_arguments: tuple[str, ...] = ()
    backbone: BertBackbone
    name: str

    def count_tokens(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        padding_mask = keras.ops.cast(keras.ops.cast(inputs["padding_mask"], "bool"), "int32")
        return keras.ops.sum(padding_mask), keras.ops.size(padding_mask)

    @classmethod
    def check_pooler(cls, backbone: BertBackbone) -> None:
        """Raises `UserError` for a backbone without a pooler, whose vector this head reads."""
        if backbone.pooler is None:
            raise UserError(f"`backbone`: has no pooler, which {cls.__name__} reads; build it with `pooler=True`")

    @classmethod
    def check_not_packed(cls, backbone: BertBackbone) -> None:
        """Raises `UserError` for a backbone with packed rows, if this head reads one example per row."""
        if backbone.packed:
            raise UserError(
                f"`backbone`: has packed rows, which {cls.__name__} cannot read; build it with `packed=False`"
            )

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in self.head_arguments}
        config = {"backbone": self.backbone.get_config(), **own, "name": self.name, "frozen": frozen_paths(self)}
        return {**config, "accumulate": self.accumulate} if self.accumulate > 1 else config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        arguments = {name: value for name, value in config.items() if name not in ("frozen", "accumulate")}
        backbone = _model_class("BertBackbone").from_config(config["backbone"])
        model = freeze(cls(**{**arguments, "backbone": backbone}), config.get("frozen", ()))
        model.accumulate = config.get("accumulate", 1)
        return model


def model_from_checkpoint(
    checkpoint: Checkpoint,
    cls: Any,
    path: Path | str,
    dtype: Any = None,
    packed: bool = False,
    remat: bool = False,
    **arguments: Any,
) -> Any:
    """A model of class `cls` with the checkpoint's weights, and newly initialized ones where it has none.

    Args:
        checkpoint: from `read_checkpoint`.
        cls: one of the model classes here.
        path: where the checkpoint comes from, for the log and errors.
        dtype, packed, remat, arguments: as in `Pretrained.from_pretrained`.
    """
    same = cls.__name__ == checkpoint.architecture
    backbone_class = _model_class("BertBackbone")
    pooler = ARCHITECTURES[cls.__name__].needs_pooler or (checkpoint.has_pooler and (same or cls is backbone_class))
    backbone = backbone_class(checkpoint.config, dtype=dtype, pooler=pooler, packed=packed, remat=remat)
    weights = cls.initial_weights(dict(checkpoint.weights))
    if not same:  # heads of different tasks have the same name
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("logits/")}
    if cls is backbone_class:
        _check_arguments(cls, arguments, ())
        model = backbone
    else:
        _check_arguments(cls, arguments, tuple(inspect.signature(cls).parameters))
        head = _head_arguments(cls, checkpoint, arguments) if same else {}
        if checkpoint.embedding is not None:
            told = dataclasses.asdict(checkpoint.embedding)
            head |= {name: told[name] for name in told.keys() & inspect.signature(cls).parameters.keys()}
        if "label_names" in arguments:
            weights = _head_by_names(weights, checkpoint.label_names, tuple(arguments["label_names"]), path)
        model = cls(backbone, **_complete(cls, {**head, **arguments}, checkpoint, path))
        if same and checkpoint.has_crf and not model.crf:
            log.warning("%s: its CRF is left out; give `crf=True` to load it", path)
    for note in checkpoint.notes:
        log.warning("%s", note)
    _assign(model, weights, path)
    return model


def _check_arguments(cls: Any, arguments: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises `UserError` for an argument that the class does not take."""
    unknown = sorted(set(arguments) - (set(known) - {"kwargs", "backbone"}))
    if unknown:
        raise UserError(f"`{unknown[0]}`: {cls.__name__}.from_pretrained takes no such argument; leave it out")


def _head_arguments(cls: Any, checkpoint: Checkpoint, given: Mapping[str, Any]) -> dict[str, Any]:
    """The stored head's constructor arguments that `cls` takes, without those that the caller's arguments rule out."""
    takes = inspect.signature(cls).parameters
    stored = {
        "num_classes": checkpoint.num_classes,
        "label_names": checkpoint.label_names,
        "problem_type": checkpoint.problem_type,
        "crf": checkpoint.has_crf,
        "decoder": checkpoint.decoder,
    }
    if "label_names" in given:
        stored["num_classes"] = len(given["label_names"]) or checkpoint.num_classes
    if given.get("num_classes", stored["num_classes"]) != checkpoint.num_classes:
        stored["label_names"], stored["problem_type"] = (), None  # a new head
    return {name: value for name, value in stored.items() if name in takes}


def _head_by_names(
    weights: dict[str, np.ndarray], old: tuple[str, ...], new: tuple[str, ...], path: Path | str
) -> dict[str, np.ndarray]:
    """The weights with the head's classes in the order of `new`, or without the head if `new` are other classes."""
    if "logits/kernel" not in weights or not new or old == new:
        return weights
    if not have_names(old) and weights["logits/bias"].shape == (len(new),):
        log.warning("%s: its classes have no names; they are now named, in this order, %s", path, ", ".join(new))
        return weights
    if (head := reordered_head(weights, old, new)) is not None:
        log.warning("%s: its classes %s are reordered to %s", path, ", ".join(old), ", ".join(new))
        return {**weights, **head}
    log.warning("%s: its classes are %s, not %s: the head is newly initialized", path, ", ".join(old), ", ".join(new))
    return {name: tensor for name, tensor in weights.items() if not name.startswith(("logits/", "crf/"))}


def _complete(cls: Any, arguments: dict[str, Any], checkpoint: Checkpoint, path: Path | str) -> dict[str, Any]:
    """The arguments; raises `UserError` if one that a new head needs is missing, or stored names are not unique."""
    if "num_classes" not in arguments and arguments.get("label_names"):
        arguments = {**arguments, "num_classes": len(arguments["label_names"])}
    if arguments.get("label_names") and len(arguments["label_names"]) != arguments["num_classes"]:
        raise UserError(
            f"`label_names`: has {len(arguments['label_names'])} names for {arguments['num_classes']} classes; give "
            f"one for each"
        )
    names = tuple(arguments.get("label_names", ()))
    if names == checkpoint.label_names and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"{path}: two of its classes have the name {twice!r}; rename one in config.json")
    for name, parameter in inspect.signature(cls).parameters.items():
        needed = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if needed and name not in ("backbone", *arguments):
            raise UserError(f"{path}: holds a {checkpoint.architecture}, so a new {cls.__name__} needs `{name}`")
    return arguments


def _assign(model: Any, weights: Mapping[str, np.ndarray], path: Path | str) -> None:
    """Assigns the weights of the same name and shape to the model; logs which weights keep their initial values."""
    fresh = []
    for name, variable in _named_weights(model).items():
        tensor = weights.get(name)
        if tensor is None or tensor.shape != tuple(variable.shape):
            fresh.append(name)
        else:
            variable.assign(tensor)
    if fresh:
        start = "zeros" if fresh == [CRF_TRANSITIONS] else "random numbers"
        log.warning("%s: has no %s; they start from %s and need training", path, ", ".join(sorted(fresh)), start)


def _named_weights(model: Any) -> dict[str, Any]:
    """The weights, frozen or not, by their names in all our files, which are the paths of the layers in the code.

    The random state of dropout is not included: Keras does not count it as a weight either.
    """
    return {variable.path: variable for variable in model.weights}


def _model_class(architecture: str) -> Any:
    """The model class `architecture`. It is imported on demand, because its module imports this one."""
    return getattr(importlib.import_module("keras_bert_scratch"), architecture)
