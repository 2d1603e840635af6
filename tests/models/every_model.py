"""Every kind of model, in a small size, with a batch; a new model needs one row in `MODELS`.

Tests of what holds for all models use these rows: as Keras models and as folders here, on other backends in
`tests/parity`.
"""

import keras
import numpy as np
import pytest

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.architectures import ARCHITECTURES

CONFIG = kbs.BertConfig(
    vocab_size=50,
    num_layers=1,
    hidden_size=16,
    num_heads=2,
    max_position_embeddings=12,
    hidden_dropout=0.0,
    attention_dropout=0.0,
)
ROWS, LENGTH = 6, 7
rng = np.random.default_rng(0)
IDS = rng.integers(5, 50, (ROWS, LENGTH)).astype("int32")
MASK = (np.arange(LENGTH) < rng.integers(3, LENGTH + 1, (ROWS, 1))).astype("int32")
INPUTS = {"token_ids": IDS, "segment_ids": IDS % 2, "padding_mask": MASK}
WITH_MASKS = {**INPUTS, "mask_positions": IDS[:, :2] % 3}
CHOICES = {name: np.stack([value, value[::-1]], axis=1) for name, value in INPUTS.items()}
WITH_TARGETS = {**INPUTS, "decoder_token_ids": IDS[::-1], "decoder_padding_mask": MASK}
LABELS = rng.integers(0, 3, ROWS)
# The directions of one-way models; the others attend to both sides, as BERT.
DIRECTIONS = {"next token": "left-to-right", "token before": "right-to-left"}
# name: class, arguments, inputs, labels
MODELS = {
    "pretrainer": ("BertPretrainer", {}, WITH_MASKS, {"masked_lm": IDS[:, :2], "next_sentence": LABELS % 2}),
    "masked words": ("BertMaskedLM", {}, WITH_MASKS, IDS[:, :2]),
    "next sentence": ("BertNextSentencePredictor", {}, INPUTS, LABELS % 2),
    "one label": ("BertTextClassifier", {"num_classes": 3, "label_names": ("a", "b", "c")}, INPUTS, LABELS),
    "labels": (
        "BertTextClassifier",
        {"num_classes": 3, "problem_type": "multi_label_classification"},
        INPUTS,
        np.eye(3, dtype="int32")[LABELS],
    ),
    "score": ("BertTextClassifier", {"num_classes": 1}, INPUTS, LABELS),
    "scores": (
        "BertTextClassifier",
        {"num_classes": 2, "problem_type": "regression"},
        INPUTS,
        np.stack([LABELS, LABELS], 1),
    ),
    "tokens": ("BertTokenClassifier", {"num_classes": 3}, INPUTS, IDS % 4 - 1),
    "tag sequences": ("BertTokenClassifier", {"num_classes": 3, "crf": True}, INPUTS, IDS % 4 - 1),
    "answer": ("BertQuestionAnswerer", {}, INPUTS, {"start": LABELS, "end": LABELS + 1}),
    "choice": ("BertMultipleChoice", {}, CHOICES, LABELS % 2),
    "next token": ("BertCausalLM", {}, INPUTS, IDS),
    "token before": ("BertCausalLM", {}, INPUTS, IDS),
    "translation": ("BertTranslator", {}, WITH_TARGETS, IDS),
    "translation to other words": ("BertTranslator", {"decoder": CONFIG.replace(vocab_size=60)}, WITH_TARGETS, IDS),
}
every_model = pytest.mark.parametrize("name", MODELS)


def make(
    name: str = "one label", dtype: str | None = None, remat: bool = False, config: kbs.BertConfig = CONFIG
) -> keras.Model:
    """A model whose weights are not just 0 and 1."""
    class_name, arguments, *_ = MODELS[name]
    pooler = ARCHITECTURES[class_name].needs_pooler
    config = config.replace(direction=DIRECTIONS.get(name, "both"))
    model = getattr(kbs, class_name)(kbs.BertBackbone(config, dtype=dtype, remat=remat, pooler=pooler), **arguments)
    draws = np.random.default_rng(1)
    for variable in model.trainable_variables:
        start = keras.ops.convert_to_numpy(variable)
        variable.assign((start + draws.normal(size=variable.shape) * 0.2).astype("float32"))
    return model


def same_outputs(one: keras.Model, other: keras.Model, inputs) -> None:
    keras.tree.map_structure(
        lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6), one(inputs), other(inputs)
    )
