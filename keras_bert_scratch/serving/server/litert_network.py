"""The network of a SavedModel, run by LiteRT instead of TensorFlow."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_bert_scratch.errors import UserError
from keras_bert_scratch.serving.engines import LITERT, check_installed, run_litert
from keras_bert_scratch.serving.variants import FOLDER, VARIANTS, EngineModel
from keras_bert_scratch.tasks.registry import get_task
from keras_bert_scratch.tasks.spec import Spec
from keras_bert_scratch.tasks.task import Task
from keras_bert_scratch.text.tokenizer import BertTokenizer


@dataclasses.dataclass(frozen=True)
class Network:
    """A network without its weights: the specs of its inputs, by name, and of its outputs."""

    input: Mapping[str, tf.TensorSpec]
    output: Any


@dataclasses.dataclass(frozen=True)
class InferenceBundle:
    """What a task needs to answer, in place of a `FineTuned`, if only the file of the network exists.

    Args:
        spec: Spec. Of the exported model.
        tokenizer: BertTokenizer. Of the model.
        model: Network. The specs of inputs and outputs.
        network: callable. Computes the outputs.
        engine: callable. What `network` calls; it lives as long as this object.
    """

    spec: Spec
    tokenizer: BertTokenizer
    model: Network | None = None
    network: Any = None
    engine: Any = None

    @property
    def task(self) -> Task:
        """The task that the spec names."""
        return get_task(self.spec.task)


def with_litert(spec: Spec, tokenizer: BertTokenizer, path: Path, variant: str, at_once: int) -> InferenceBundle:
    """Returns a model whose network LiteRT runs.

    Args:
        spec, tokenizer: of the exported model.
        path: the SavedModel's folder.
        variant: `"litert"` or `"litert-int8"`.
        at_once: maximum number of concurrent calls; each takes the memory of the weights.

    Raises:
        UserError: the folder has no such variant, its file is damaged, or LiteRT is not installed.
    """
    check_installed(LITERT, "engine")
    from ai_edge_litert.interpreter import Interpreter

    file = path / FOLDER / VARIANTS[variant].file
    if not file.exists():
        raise UserError(f"`engine`: {path} has no {FOLDER}/{file.name}; export it with `variants={variant}`")
    try:
        details = Interpreter(str(file)).get_signature_runner()
    except ValueError as error:
        raise UserError(
            f"{file}: LiteRT cannot read it ({str(error).splitlines()[0]}); export the model again"
        ) from None
    inputs, outputs = (_specs(found) for found in (details.get_input_details(), details.get_output_details()))
    unnamed = [outputs.get(f"output_{number}") for number in range(len(outputs))]
    if None not in unnamed:
        outputs = unnamed if len(unnamed) > 1 else unnamed[0]
    network, run = Network(inputs, outputs), run_litert(file, at_once=at_once)
    # TensorFlow keeps the Python functions of a graph until the process ends; with a weak reference they do not keep
    # the engine.
    reference = weakref.ref(run)
    return InferenceBundle(spec, tokenizer, network, EngineModel(network, lambda inputs: reference()(inputs)), run)


def _specs(details: Mapping[str, Any]) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec([None if size < 0 else int(size) for size in of["shape_signature"]], of["dtype"], name)
        for name, of in details.items()
    }
