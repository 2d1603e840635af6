"""Export: a SavedModel that takes raw strings, with tokenizer, network and answers inside; knows no single task."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.tasks.fine_tuned import FineTuned

SAVED_MODEL_FILE = "saved_model.pb"


def export_saved_model(tuned: FineTuned, path: Path | str) -> None:
    """Writes a fine-tuned model as a SavedModel into the new folder `path`.

    Its signature `serving_default` takes the columns that the model was trained on, strings `(batch,)` each, and gives
    what the task's `decode` gives, as `label`, strings `(batch,)`, and `scores`, float32 `(batch, classes)`. It
    computes what `tuned.predict` computes. `task.json` lies beside it, for those who ask it from Python.

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

    names = (*tuned.spec.columns, *tuned.task.optional_columns(tuned.spec))

    # An endpoint's function takes its arguments by position.
    def serve(*columns: tf.Tensor) -> dict[str, tf.Tensor]:
        return tuned.serve(dict(zip(names, columns, strict=True)))

    archive = keras.export.ExportArchive()
    # What holds the tokenizer's tables. The network's weights are found by the graph; tracked too, they would be
    # written twice (keras issue 23553).
    archive.track(tuned.tokenizer)
    signature = [
        tf.TensorSpec([None, None] if column in tuned.task.list_columns else [None], tf.string, name=column)
        for column in names
    ]
    archive.add_endpoint(name="serving_default", fn=serve, input_signature=signature)
    with atomic.write_folder(path) as temporary:
        archive.write_out(str(temporary), verbose=False)
        tuned.spec.save(temporary)
