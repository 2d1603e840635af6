"""AttentionMaps: the attention weights of a text in every layer and head, and what is computed from them."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import tensorflow as tf

from keras_bert_scratch.checkpoints.checkpoint import check_is_no_export
from keras_bert_scratch.config import JOINED
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import AnyPath
from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.tasks.data.cells import is_unicode
from keras_bert_scratch.text.packing import pack_segments, packed_lengths
from keras_bert_scratch.text.tokenizer import BertTokenizer

log = logging.getLogger(__name__)

MOST_TOKENS = 64  # so that a page is quick to draw and easy to read
FEWEST_TOKENS = 5  # one token of each of two texts, [CLS] and two [SEP]


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention weights of one text, or of a pair of texts.

    Args:
        tokens: tuple of str. The pieces, with `[CLS]` and `[SEP]`.
        segments: tuple of int. 0 at the tokens of the first text, 1 at those of the second.
        weights: float32 `(layers, heads, tokens, tokens)`. Rows are queries, columns are keys; each row sums to 1.
        truncated: int, default 0. Number of tokens that the text has beyond these.

    Example:
        >>> maps = AttentionMaps(("[CLS]", "[SEP]"), (0, 0), np.full((1, 2, 2, 2), 0.5, "float32"))
        >>> maps.entropy.tolist()
        [[1.0, 1.0]]
    """

    tokens: tuple[str, ...]
    segments: tuple[int, ...]
    weights: np.ndarray
    truncated: int = 0

    @property
    def averages(self) -> np.ndarray:
        """The mean over a layer's heads, float32 `(layers, tokens, tokens)`."""
        return self.weights.mean(axis=1)

    @property
    def entropy(self) -> np.ndarray:
        """How widely a head attends: entropy in bits, the mean over the query tokens, float32 `(layers, heads)`.

        0: all to one token; log2(tokens): equally to all (Clark et al. 2019, "What Does BERT Look At?", section 3.3).
        """
        logarithms = np.log2(self.weights, out=np.zeros_like(self.weights), where=self.weights > 0)
        return -(self.weights * logarithms).sum(axis=-1).mean(axis=-1) + 0.0

    @property
    def rollout(self) -> np.ndarray:
        """How much each input token contributes to each vector after a layer, float32 `(layers, tokens, tokens)`.

        The averages, mixed 1:1 with the residual connection, then multiplied layer by layer (Abnar and Zuidema 2020,
        "Quantifying Attention Flow in Transformers", section 3).
        """
        reached = identity = np.eye(len(self.tokens), dtype=np.float32)
        found = []
        for average in self.averages:
            reached = 0.5 * (average + identity) @ reached
            found.append(reached)
        return np.stack(found)


def attention_maps(
    model: AnyPath | str, text: str, pair: str | None = None, max_length: int | None = None
) -> AttentionMaps:
    """Computes the attention weights of any model's encoder for a text.

    Args:
        model: path. A run, or a model in any known format, with its vocabulary.
        text: str. The text; `[MASK]` in it is read as the special token.
        pair: str or None, default None. The second text, for example the passage for a question.
        max_length: int or None, default None. Maximum number of tokens; a longer text is truncated, which is logged.
            `None` for 64, or the model's number of positions if that is less.

    Raises:
        UserError: there is no model, it does not accept such texts, it consists of two joined one-way encoders, or its
            weights are not finite.

    Example:
        >>> vocabulary = Vocabulary(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing"))
        >>> model = BertMaskedLM(BertBackbone(BertConfig(vocab_size=7, num_layers=1, hidden_size=16, num_heads=2)))
        >>> model.save_pretrained("model", BertTokenizer(vocabulary))
        >>> maps = attention_maps("model", "Playing [MASK]")
        >>> maps.tokens, maps.weights.shape
        (('[CLS]', 'play', '##ing', '[MASK]', '[SEP]'), (1, 2, 5, 5))

    Source: Vaswani et al. 2017, section 3.2.1: softmax(Q K^T / sqrt(d)).
    """
    if max_length is not None and max_length < FEWEST_TOKENS:
        raise UserError(f"`max_length`: must be at least {FEWEST_TOKENS}, not {max_length}")
    for argument, given in (("text", text), ("pair", pair or "")):
        if not is_unicode(given):
            raise UserError(f"`{argument}`: has a lone surrogate or bytes that are not UTF-8; correct them")
        for token in ("[CLS]", "[SEP]", "[PAD]"):
            if token in given:
                raise UserError(
                    f"`{argument}`: contains {token}; special tokens are added to `text` and `pair` automatically, so "
                    f"remove it"
                )
    check_is_no_export(model)
    tokenizer = BertTokenizer.load(model)
    backbone = BertBackbone.from_pretrained(model, dtype="float32")
    if backbone.config.direction == JOINED:
        raise UserError(
            f"{model}: consists of two joined one-way encoders, which have no common attention weights; show each "
            f"model separately"
        )
    max_length = max_length or min(MOST_TOKENS, backbone.config.max_position_embeddings)
    backbone.config.check_length(max_length)
    backbone.config.check_vocabulary(len(tokenizer.vocabulary), tokenizer.vocabulary.origin)
    if pair is not None:
        backbone.config.check_pairs()
    first = tokenizer.tokenize([text], special_tokens=True)
    second = None if pair is None else tokenizer.tokenize([pair], special_tokens=True)
    for argument, pieces in (("text", first), ("pair", second)):
        if pieces is not None and not pieces.row_lengths()[0]:
            raise UserError(f"`{argument}`: is empty; give a sentence")
    count = int(packed_lengths(first, second)[0])
    if count > max_length:
        what = "the text has" if pair is None else "text and pair together have"
        log.warning("%s %d tokens; only %d are shown; a higher `max_length` shows more", what, count, max_length)
    inputs = pack_segments(first, second, min(count, max_length), tokenizer.vocabulary)
    weights = tf.concat(backbone.look_inside(inputs)["attention_weights"], axis=0).numpy()
    if not np.isfinite(weights).all():
        raise UserError(
            f"{model}: its attention weights are not finite numbers; its training has probably diverged, so train it "
            f"again with a lower learning rate, or check its weights"
        )
    tokens = tokenizer.vocabulary.tokens
    return AttentionMaps(
        tuple(tokens[token] for token in inputs["token_ids"][0].numpy()),
        tuple(inputs["segment_ids"][0].numpy().tolist()),
        weights,
        max(0, count - max_length),
    )
