"""Export: a SavedModel that takes raw strings, with tokenizer, network and answers inside; knows no single task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.serving.signatures import SIGNATURE
from keras_bert_scratch.tasks.fine_tuned import FineTuned
from keras_bert_scratch.tasks.task import Task


def export_saved_model(tuned: FineTuned, path: Path | str) -> None:
    """Writes a fine-tuned model as a SavedModel into the new folder `path`.

    Its signature `serving_default` takes the columns that the model was trained on, strings `(batch,)` each, and gives
    what the task's `decode` gives, as `label`, strings `(batch,)`, and `scores`, float32 `(batch, classes)`. It
    computes what `tuned.predict` computes. A task that can be asked by other columns has a signature for them too, as
    ner has `words`. `task.json` lies beside it, for those who ask or measure it from Python.

    Args:
        tuned: FineTuned. Model, tokenizer and spec.
        path: path. Must not exist yet, or be an empty folder.

    Raises:
        UserError: the folder holds something, or the disk is full.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=64)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> spec = Spec("classification", ("text",), 128, ("no", "yes"))
        >>> export_saved_model(FineTuned(model, BertTokenizer(vocabulary), spec), "exported")
        >>> sorted(tf.saved_model.load("exported").signatures["serving_default"](text=tf.constant(["play"])))
        ['label', 'scores']
    """

    # What the signatures use: the tokenizer's tables, and the weights. Keras's own exporter traces each function twice.
    module = tf.Module()
    module.tokenizer = tuned.tokenizer
    module.weights = [weight.value for weight in tuned.model.weights]
    signatures = {
        "_".join(columns) if number else SIGNATURE: _serving(tuned, columns)
        for number, columns in enumerate(tuned.task.forms(tuned.spec))
    }
    with atomic.write_folder(path) as temporary:
        tf.saved_model.save(module, str(temporary), signatures=signatures)
        tuned.spec.save(temporary)


def _serving(tuned: FineTuned, columns: tuple[str, ...]) -> Any:
    """What a signature computes; its function takes its arguments by position."""

    def serve(*values: tf.Tensor) -> dict[str, tf.Tensor]:
        return tuned.serve(dict(zip(columns, values, strict=True)))

    return tf.function(serve, input_signature=_signature(tuned.task, columns), autograph=False)


def _signature(task: Task, columns: tuple[str, ...]) -> list[tf.TensorSpec]:
    return [
        tf.TensorSpec([None, None] if column in task.list_columns else [None], tf.string, name=column)
        for column in columns
    ]
