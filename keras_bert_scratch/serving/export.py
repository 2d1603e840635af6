"""Export: a SavedModel that takes raw strings, with tokenizer, network and label names inside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from keras_bert_scratch import atomic
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.models.text_classifier import BertTextClassifier
from keras_bert_scratch.text.packing import pack_segments
from keras_bert_scratch.text.tokenizer import BertTokenizer

SAVED_MODEL_FILE = "saved_model.pb"


def export_saved_model(
    model: BertTextClassifier,
    tokenizer: BertTokenizer,
    path: Path | str,
    label_names: Sequence[str] | None = None,
    max_length: int = 128,
) -> None:
    """Writes a classifier as a SavedModel into the new folder `path`.

    Its signature `serving_default` takes `text`, strings `(batch,)`, and gives `label`, strings `(batch,)`, and
    `scores`, float32 `(batch, classes)`, each row summing to 1 in the order of the labels.

    Args:
        model: the classifier.
        tokenizer: of the vocabulary that it was trained with.
        path: must not exist yet, or be empty.
        label_names: what the classes are called; `None` for their numbers.
        max_length: tokens per text; what is longer is cut.

    Raises:
        UserError: the folder holds something, or the disk is full.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> config = BertConfig(vocab_size=7, num_layers=1, hidden_size=64)
        >>> model = BertTextClassifier(BertBackbone(config), num_classes=2)
        >>> export_saved_model(model, BertTokenizer(vocabulary), "exported", ["no", "yes"])
        >>> sorted(tf.saved_model.load("exported").signatures["serving_default"](text=tf.constant(["play"])))
        ['label', 'scores']
    """
    path = Path(path)
    atomic.check_is_free(path)
    model.backbone.config.check_length(max_length)
    if model.num_classes == 1:
        raise UserError("model: gives a score, not classes (num_classes=1); only classifiers can be exported so far")
    names = list(label_names) if label_names is not None else [str(number) for number in range(model.num_classes)]
    if len(names) != model.num_classes:
        raise UserError(f"label_names: {len(names)} names for {model.num_classes} classes; name each")
    labels = tf.constant(names)

    def answer(text: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = pack_segments(tokenizer.tokenize(text), None, max_length, tokenizer.vocabulary)
        scores = keras.ops.softmax(model(rows, training=False))
        return {"label": tf.gather(labels, tf.argmax(scores, axis=-1)), "scores": scores}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(tokenizer)
    signature = [tf.TensorSpec([None], tf.string, name="text")]
    archive.add_endpoint(name="serving_default", fn=answer, input_signature=signature)
    with atomic.write_folder(path) as place:
        archive.write_out(str(place), verbose=False)
