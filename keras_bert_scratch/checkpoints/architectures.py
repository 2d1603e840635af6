"""Architectures: one entry per model class, with its names in other formats, and the tensors that it consists of."""

from __future__ import annotations

import dataclasses

from keras_bert_scratch.config import JOINED, BertConfig

Shape = tuple[int, ...]

CRF_TRANSITIONS = "crf/transitions"  # of a token classifier with a conditional random field


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What a model has on top of the encoder.

    Args:
        heads: first part of the names of each head's tensors; `"logits"` is a task's head, one linear layer.
        needs_pooler: whether the heads read the pooled vector. Otherwise a pooler is optional.
        huggingface: the class in transformers.
        huggingface_prefix: name of `"logits"` there.
        google_prefix: name of `"logits"` in Google's code, without its `_weights` and `_bias`; empty if Google's code
            has no such head.
        num_classes: size of the task's head, if it is always the same.
        has_labels: whether its classes have names.
        decodes: whether there is a decoder in addition to the encoder; the head then belongs to the decoder.
        pipeline: a hub's name of the task; empty if it has none.
    """

    heads: tuple[str, ...]
    needs_pooler: bool
    huggingface: str
    huggingface_prefix: str = ""
    google_prefix: str = ""
    num_classes: int | None = None
    has_labels: bool = False
    decodes: bool = False
    pipeline: str = ""


# By the name of the class in `models`. A new head is a new entry; of entries with the same tensors the first one wins.
ARCHITECTURES = {
    "BertBackbone": Architecture((), False, "BertModel", pipeline="feature-extraction"),
    "BertTextEmbedder": Architecture((), False, "BertModel", pipeline="sentence-similarity"),
    "BertPretrainer": Architecture(("masked_lm", "next_sentence"), True, "BertForPreTraining", pipeline="fill-mask"),
    "BertMaskedLM": Architecture(("masked_lm",), False, "BertForMaskedLM", pipeline="fill-mask"),
    "BertNextSentencePredictor": Architecture(("next_sentence",), True, "BertForNextSentencePrediction"),
    "BertTextClassifier": Architecture(
        ("logits",),
        True,
        "BertForSequenceClassification",
        "classifier",
        "output",
        has_labels=True,
        pipeline="text-classification",
    ),
    "BertTokenClassifier": Architecture(
        ("logits",),
        False,
        "BertForTokenClassification",
        "classifier",
        has_labels=True,
        pipeline="token-classification",
    ),
    "BertQuestionAnswerer": Architecture(
        ("logits",),
        False,
        "BertForQuestionAnswering",
        "qa_outputs",
        "cls/squad/output",
        2,
        pipeline="question-answering",
    ),
    "BertMultipleChoice": Architecture(
        ("logits",), True, "BertForMultipleChoice", "classifier", num_classes=1, pipeline="multiple-choice"
    ),
    "BertCausalLM": Architecture(("masked_lm",), False, "BertLMHeadModel", pipeline="text-generation"),
    "BertTranslator": Architecture(("masked_lm",), False, "EncoderDecoderModel", decodes=True, pipeline="translation"),
}


def pretraining_architecture(masked_lm: bool, next_sentence: bool) -> str:
    """The model without a task's head that has exactly these heads.

    Example:
        >>> pretraining_architecture(masked_lm=False, next_sentence=True)
        'BertNextSentencePredictor'
    """
    heads = ("masked_lm",) * masked_lm + ("next_sentence",) * next_sentence
    return next(name for name, of in ARCHITECTURES.items() if of.heads == heads and not of.decodes)


def encoder_shapes(config: BertConfig) -> dict[str, Shape]:
    """Name and shape of every tensor of embeddings and encoder blocks.

    Example:
        >>> encoder_shapes(BertConfig(num_layers=1, hidden_size=64))["encoder_block_0/feed_forward/output/kernel"]
        (256, 64)
    """
    shapes = _embedding_shapes("embeddings", config)
    for index in range(config.num_layers):
        shapes |= _block_shapes(f"encoder_block_{index}", config)
    if config.direction == JOINED:
        shapes |= {reversed_name(name): shape for name, shape in shapes.items()}
    return shapes


def reversed_name(name: str) -> str:
    """The name of an encoder's tensor in the right-to-left network of a joined model.

    Example:
        >>> reversed_name("encoder_block_0/attention/query/bias")
        'reverse_block_0/attention/query/bias'
    """
    return name.replace("encoder_block_", "reverse_block_") if "block" in name else f"reverse_{name}"


def decoder_shapes(config: BertConfig, encoder: BertConfig, own_embeddings: bool) -> dict[str, Shape]:
    """Name and shape of every tensor of a decoder: of its blocks, and of its embeddings if they are its own."""
    shapes = _embedding_shapes("decoder_embeddings", config) if own_embeddings else {}
    for index in range(config.num_layers):
        block = f"decoder_block_{index}"
        shapes |= _block_shapes(block, config)
        for name in ("query", "key", "value", "output"):
            inputs = encoder.hidden_size if name in ("key", "value") else config.hidden_size
            shapes |= _dense(f"{block}/cross_attention/{name}", inputs, config.hidden_size)
        shapes |= _layer_norm(f"{block}/cross_attention_layer_norm", config.hidden_size)
    return shapes


def _embedding_shapes(name: str, config: BertConfig) -> dict[str, Shape]:
    hidden = config.hidden_size
    return {
        f"{name}/token_embedding": (config.vocab_size, hidden),
        f"{name}/segment_embedding": (config.num_segments, hidden),
        f"{name}/position_embedding": (config.max_position_embeddings, hidden),
        **_layer_norm(f"{name}/layer_norm", hidden),
    }


def _block_shapes(block: str, config: BertConfig) -> dict[str, Shape]:
    hidden, inner = config.hidden_size, config.intermediate_size
    shapes: dict[str, Shape] = {}
    for name in ("query", "key", "value", "output"):
        shapes |= _dense(f"{block}/attention/{name}", hidden, hidden)
    shapes |= _layer_norm(f"{block}/attention_layer_norm", hidden)
    shapes |= _dense(f"{block}/feed_forward/intermediate", hidden, inner)
    shapes |= _dense(f"{block}/feed_forward/output", inner, hidden)
    return shapes | _layer_norm(f"{block}/feed_forward_layer_norm", hidden)


def model_shapes(
    config: BertConfig,
    architecture: str,
    pooler: bool,
    num_classes: int = 0,
    crf: bool = False,
    decoder: BertConfig | None = None,
) -> dict[str, Shape]:
    """Name and shape of every tensor of a model.

    Args:
        config: BertConfig. Sizes.
        architecture: str, one of `ARCHITECTURES`.
        pooler: bool. Whether there is a pooler even if no head needs it.
        num_classes: int, default 0. Size of a task's head, if there is one whose size the architecture does not fix.
        crf: bool, default `False`. Whether there are transitions between the classes.
        decoder: BertConfig or `None`, default `None`. Sizes of a decoder with embeddings of its own, if the
            architecture has a decoder; `None` for one like the encoder that shares its embeddings.
    """
    made_of = ARCHITECTURES[architecture]
    hidden = config.hidden_size
    width = 2 * hidden if config.direction == JOINED else hidden  # input size of heads that do not read the pooler
    lm_head_config = decoder or config  # the sizes below the head over the vocabulary
    heads = {
        "masked_lm": {
            **_dense(
                "masked_lm/transform",
                lm_head_config.hidden_size if made_of.decodes else width,
                lm_head_config.hidden_size,
            ),
            **_layer_norm("masked_lm/layer_norm", lm_head_config.hidden_size),
            "masked_lm/bias": (lm_head_config.vocab_size,),
        },
        "next_sentence": _dense("next_sentence/dense", hidden, 2),
        "logits": _dense("logits", hidden if made_of.needs_pooler else width, made_of.num_classes or num_classes),
    }
    shapes = encoder_shapes(config)
    if made_of.decodes:
        shapes |= decoder_shapes(lm_head_config, config, own_embeddings=decoder is not None)
    if pooler or made_of.needs_pooler:
        shapes |= _dense("pooler/dense", width, hidden)
    for head in made_of.heads:
        shapes |= heads[head]
    if crf:
        shapes[CRF_TRANSITIONS] = (num_classes, num_classes)
    return shapes


def _dense(name: str, inputs: int, outputs: int) -> dict[str, Shape]:
    return {f"{name}/kernel": (inputs, outputs), f"{name}/bias": (outputs,)}


def _layer_norm(name: str, size: int) -> dict[str, Shape]:
    return {f"{name}/gamma": (size,), f"{name}/beta": (size,)}
