"""Which models there are: one row each, with its names in other people's files, and the tensors that it is made of."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.config import BertConfig

Shape = tuple[int, ...]

CRF_TRANSITIONS = "crf/transitions"  # of a token classifier with a conditional random field


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a model has on top of the encoder.

    Args:
        heads: first word of the names of each head's tensors; `"logits"` is a task's head, one linear layer.
        needs_pooler: whether they read the pooled vector. Otherwise there may be a pooler or none.
        huggingface: the class in transformers.
        huggingface_prefix: what `"logits"` is called there.
        google_prefix: what `"logits"` is called in Google's code, without its `_weights` and `_bias`; empty if Google's
            code has no such head.
        num_classes: size of the task's head where it is always the same.
        has_labels: whether its classes have names.
    """

    heads: tuple[str, ...]
    needs_pooler: bool
    huggingface: str
    huggingface_prefix: str = ""
    google_prefix: str = ""
    num_classes: int | None = None
    has_labels: bool = False


# By the name of the class in `models`. A new head is a new row; of two with the same tensors the first is the likelier.
ARCHITECTURES = {
    "BertBackbone": Architecture((), False, "BertModel"),
    "BertTextEmbedder": Architecture((), False, "BertModel"),
    "BertPretrainer": Architecture(("masked_lm", "next_sentence"), True, "BertForPreTraining"),
    "BertMaskedLM": Architecture(("masked_lm",), False, "BertForMaskedLM"),
    "BertNextSentencePredictor": Architecture(("next_sentence",), True, "BertForNextSentencePrediction"),
    "BertTextClassifier": Architecture(
        ("logits",), True, "BertForSequenceClassification", "classifier", "output", has_labels=True
    ),
    "BertTokenClassifier": Architecture(
        ("logits",), False, "BertForTokenClassification", "classifier", has_labels=True
    ),
    "BertQuestionAnswerer": Architecture(
        ("logits",), False, "BertForQuestionAnswering", "qa_outputs", "cls/squad/output", 2
    ),
    "BertMultipleChoice": Architecture(("logits",), True, "BertForMultipleChoice", "classifier", num_classes=1),
}


def pretraining_architecture(masked_lm: bool, next_sentence: bool) -> str:
    """Which of the models without a task's head has just these heads.

    Example:
        >>> pretraining_architecture(masked_lm=False, next_sentence=True)
        'BertNextSentencePredictor'
    """
    heads = ("masked_lm",) * masked_lm + ("next_sentence",) * next_sentence
    return next(name for name, architecture in ARCHITECTURES.items() if architecture.heads == heads)


def encoder_shapes(config: BertConfig) -> dict[str, Shape]:
    """Name and shape of every tensor of embeddings and encoder blocks.

    Example:
        >>> encoder_shapes(BertConfig(num_layers=1, hidden_size=64))["encoder_block_0/feed_forward/output/kernel"]
        (256, 64)
    """
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes = {
        "embeddings/token_embedding": (config.vocab_size, hidden),
        "embeddings/segment_embedding": (config.num_segments, hidden),
        "embeddings/position_embedding": (config.max_position_embeddings, hidden),
        **_layer_norm("embeddings/layer_norm", hidden),
    }
    for index in range(config.num_layers):
        block = f"encoder_block_{index}"
        for name in ("query", "key", "value", "output"):
            shapes |= _dense(f"{block}/attention/{name}", hidden, hidden)
        shapes |= _layer_norm(f"{block}/attention_layer_norm", hidden)
        shapes |= _dense(f"{block}/feed_forward/intermediate", hidden, inner)
        shapes |= _dense(f"{block}/feed_forward/output", inner, hidden)
        shapes |= _layer_norm(f"{block}/feed_forward_layer_norm", hidden)
    return shapes


def model_shapes(
    config: BertConfig, architecture: str, pooler: bool, num_classes: int = 0, crf: bool = False
) -> dict[str, Shape]:
    """Name and shape of every tensor of a model.

    Args:
        config: BertConfig. Sizes.
        architecture: str, one of `ARCHITECTURES`.
        pooler: bool. Whether there is one even if no head needs it.
        num_classes: int, default 0. Size of a task's head, where there is one and the architecture leaves it open.
        crf: bool, default `False`. Whether there are transitions between the classes.
    """
    made_of = ARCHITECTURES[architecture]
    hidden = config.hidden_size
    heads = {
        "masked_lm": {
            **_dense("masked_lm/transform", hidden, hidden),
            **_layer_norm("masked_lm/layer_norm", hidden),
            "masked_lm/bias": (config.vocab_size,),
        },
        "next_sentence": _dense("next_sentence/dense", hidden, 2),
        "logits": _dense("logits", hidden, made_of.num_classes or num_classes),
    }
    shapes = encoder_shapes(config)
    if pooler or made_of.needs_pooler:
        shapes |= _dense("pooler/dense", hidden, hidden)
    for head in made_of.heads:
        shapes |= heads[head]
    if crf:
        shapes[CRF_TRANSITIONS] = (num_classes, num_classes)
    return shapes


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _layer_norm(name: str, size: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (size,), f"{name}/beta": (size,)}
