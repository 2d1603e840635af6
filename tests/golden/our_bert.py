"""Our side of the comparison with transformers: the same weights by our reader, the same batch by our model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tensorflow as tf
from seeded_bert import Case, batch, mask_positions, weights

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.checkpoints.names import huggingface_names, renamed


def read(case: Case, folder: Path, dtype: str | None = None) -> kbs.BertPretrainer:
    """The case's weights, written as transformers would and read by us."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(case.config))
    safetensors.numpy.save_file(weights(case), folder / "model.safetensors", metadata={"format": "pt"})
    return kbs.BertPretrainer.from_pretrained(folder, dtype=dtype)


def load_model(folder: Path) -> Any:
    """The model in a folder as the class that it is."""
    return getattr(kbs, read_checkpoint(folder).architecture).from_pretrained(folder)


def inputs(case: Case) -> dict[str, np.ndarray]:
    """The batch by our names."""
    return {**by_our_names(batch(case)), "mask_positions": mask_positions(case).astype("int32")}


def outputs(model: kbs.BertPretrainer, case: Case) -> tuple[np.ndarray, np.ndarray, float, dict[str, np.ndarray]]:
    """Logits at the positions to predict, logits of the pairs, the loss, the gradients by transformers' names."""
    theirs, positions = batch(case), mask_positions(case)
    labels = {
        "masked_lm": np.take_along_axis(theirs["labels"], positions, axis=1),
        "next_sentence": theirs["next_sentence_label"],
    }
    model.compile()
    with tf.GradientTape() as tape:
        found = model(inputs(case))
        loss = model.compute_loss(y=labels, y_pred=found)
    gradients = {}
    if case.gradients:
        variables = model.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, [v.value for v in variables]), strict=True):
            name = renamed(variable.path, huggingface_names("BertPretrainer"))
            dense = tf.convert_to_tensor(gradient).numpy()
            gradients[name] = dense.T if variable.path.endswith("kernel") else dense
    return found["masked_lm"].numpy(), found["next_sentence"].numpy(), float(loss), gradients


def by_our_names(theirs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of a batch of transformers as the models here take them."""
    names = {"token_ids": "input_ids", "segment_ids": "token_type_ids", "padding_mask": "attention_mask"}
    return {name: theirs[other].astype("int32") for name, other in names.items()}


def head_outputs(model: Any, batch: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What the model gives for a batch of transformers, in the order in which transformers gives it."""
    inputs = by_our_names(batch)
    rows, length = inputs["token_ids"].shape[0], inputs["token_ids"].shape[-1]
    if type(model).__name__ in ("BertPretrainer", "BertMaskedLM"):
        inputs["mask_positions"] = np.broadcast_to(np.arange(length, dtype="int32"), (rows, length))
    found = model(inputs)
    order = ("sequence_output", "pooled_output", "masked_lm", "next_sentence", "start", "end")
    return (
        [np.asarray(found[name]) for name in order if name in found] if isinstance(found, dict) else [np.asarray(found)]
    )
