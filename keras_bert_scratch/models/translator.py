"""BertTranslator: an encoder and a decoder that turn a text into another text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_bert_scratch.config import LEFT_TO_RIGHT, BertConfig
from keras_bert_scratch.layers.attention_bias import attention_bias, one_way
from keras_bert_scratch.layers.decoder_block import DecoderBlock
from keras_bert_scratch.layers.embeddings import BertEmbeddings
from keras_bert_scratch.layers.masked_lm_head import MaskedLMHead
from keras_bert_scratch.models.backbone import BertBackbone, backbone_inputs
from keras_bert_scratch.models.objectives import classification_objective
from keras_bert_scratch.models.pretrained import OnBackbone

DECODER_PARTS = ("decoder_block_", "decoder_embeddings/", "masked_lm/")
DECODER_INPUT_NAMES = ("decoder_token_ids", "decoder_padding_mask")


@keras.saving.register_keras_serializable(package="keras_bert_scratch")
class BertTranslator(OnBackbone, keras.Model):
    """A BERT-like encoder and decoder (Vaswani et al. 2017), perhaps initialized from BERT (Rothe et al. 2020).

    Args:
        backbone: BertBackbone. The encoder; its weights are shared, not copied.
        decoder: BertConfig, its fields as a dict, or `None`, default `None`. Sizes and rates of a decoder with
            embeddings of its own; `None` for a decoder of the encoder's sizes that shares the encoder's embeddings.
        kwargs: as in `keras.Model`, such as `name`.

    Inputs: the backbone's, for the source; and int32 `(batch, target_length)` for the target: `decoder_token_ids`, in
    training `[CLS]` followed by the text; `decoder_padding_mask`, 1 at tokens and 0 at padding.

    Output: float32 logits `(batch, target_length, vocab_size)` of the next token.

    `compile(optimizer)` alone sets the mean cross-entropy over the target's tokens, and accuracy.

    Raises:
        UserError: the backbone has packed rows, or `decoder` is not a valid config.

    Example:
        >>> from keras_bert_scratch import BertConfig, BertBackbone
        >>> import numpy as np
        >>> backbone = BertBackbone(BertConfig(vocab_size=100, num_layers=2, hidden_size=64), pooler=False)
        >>> ones = np.ones((1, 7), "int32")
        >>> source = {"token_ids": ones, "segment_ids": 0 * ones, "padding_mask": ones}
        >>> target = {"decoder_token_ids": ones[:, :3], "decoder_padding_mask": ones[:, :3]}
        >>> tuple(BertTranslator(backbone)({**source, **target}).shape)
        (1, 3, 100)
    """

    head_arguments = ("decoder",)

    def __init__(self, backbone: BertBackbone, decoder: BertConfig | Mapping[str, Any] | None = None, **kwargs: Any):
        self.check_not_packed(backbone)
        if decoder is not None and not isinstance(decoder, BertConfig):
            decoder = BertConfig.from_dict(dict(decoder), "`decoder`")
        config = decoder or backbone.config

        # === Layers ===
        policy = backbone.embeddings.dtype_policy
        embeddings = BertEmbeddings(config, dtype=policy, name="decoder_embeddings") if decoder else backbone.embeddings
        decoder_blocks = [
            DecoderBlock(config, backbone.remat, dtype=policy, name=f"decoder_block_{index}")
            for index in range(config.num_layers)
        ]
        next_token_head = MaskedLMHead(config, dtype=policy, name="masked_lm")

        # === Functional Model ===
        inputs = backbone_inputs()
        encoded, encoded_bias = _encoded(backbone, inputs)
        for name in DECODER_INPUT_NAMES:
            inputs[name] = keras.Input((None,), dtype="int32", name=name)
        x, token_embedding, bias = _embedded(embeddings, inputs)
        for block in decoder_blocks:
            x = block(x, bias, encoded, encoded_bias)
        super().__init__(inputs=inputs, outputs=next_token_head(x, token_embedding), **kwargs)

        # === Config ===
        self.backbone = backbone
        self.decoder = decoder and decoder.to_dict()
        self.own_decoder = decoder
        self.dtype_policy = policy
        self.objectives = {"": classification_objective(counts=lambda inputs: inputs["decoder_padding_mask"])}
        self.decoder_config = config
        self.decoder_embeddings = embeddings
        self.decoder_blocks = decoder_blocks
        self.next_token_head = next_token_head

    @classmethod
    def initial_weights(cls, weights: dict[str, Any]) -> dict[str, Any]:
        """Adds copies of BERT's blocks and embeddings for the decoder if it has none; cross-attention is new."""
        if any(name.startswith("decoder_block_") for name in weights):
            return weights
        copies = {
            name.replace("encoder_block_", "decoder_block_").replace("embeddings/", "decoder_embeddings/"): weight
            for name, weight in weights.items()
            if name.startswith(("encoder_block_", "embeddings/"))
        }
        return {**weights, **copies}

    def start_decoder(self, weights: Mapping[str, Any]) -> None:
        """Initializes the decoder from a BERT's weights of the same shapes: embeddings, blocks and vocabulary head.

        Args:
            weights: arrays by our names, as a checkpoint has them.
        """
        own = {
            name: value for name, value in self.initial_weights(dict(weights)).items() if name.startswith(DECODER_PARTS)
        }
        for variable in self.weights:
            value = own.get(variable.path)
            if value is not None and value.shape == tuple(variable.shape):
                variable.assign(value)

    def count_tokens(self, inputs: dict[str, Any]) -> tuple[Any, Any]:
        tokens, positions = super().count_tokens(inputs)
        mask = ops.cast(ops.cast(inputs["decoder_padding_mask"], "bool"), "int32")
        return tokens + ops.sum(mask), positions + ops.size(mask)

    def encode(self, inputs: dict[str, Any]) -> tuple[list[tuple[Any, Any]], Any]:
        """What the decoder reads from the source: keys and values for each block, and the bias of padding.

        Args:
            inputs: dict of tensors. The backbone's inputs.
        """
        encoded, bias = _encoded(self.backbone, inputs)
        return [block.cross_attention.keys_and_values(encoded) for block in self.decoder_blocks], bias

    def alignment(self, inputs: dict[str, Any]) -> Any:
        """How much the prediction of the token after each target position attends to each source position.

        Args:
            inputs: dict of tensors. The model's inputs.

        Returns: float `(batch, target_length, source_length)`: the cross-attention of the penultimate block (or of the
        only one), averaged over heads. This block is closest to human alignments (Garg et al. 2019, section 4).
        """
        encoded, encoded_bias = _encoded(self.backbone, inputs)
        x, _, bias = _embedded(self.decoder_embeddings, inputs)
        for block in self.decoder_blocks[:-1] or self.decoder_blocks:
            x, weights = block(x, bias, encoded, encoded_bias, return_weights=True)
        return ops.mean(ops.cast(weights, "float32"), axis=1)

    def empty_past(self, batch: Any) -> list[tuple[Any, Any]]:
        """For each block, keys and values of zero positions."""
        return [block.attention.empty_past(batch) for block in self.decoder_blocks]

    def step(
        self,
        token_ids: Any,
        position: Any,
        past: list[tuple[Any, Any]],
        visible: Any,
        source: tuple[list[tuple[Any, Any]], Any],
    ) -> tuple[Any, list[tuple[Any, Any]]]:
        """Feeds one more token of each hypothesis to the decoder; returns the logits of the token after it.

        Args:
            token_ids: int `(batch, hypotheses)`. The tokens at `position`.
            position: int scalar, from 0.
            past: for each block, from `empty_past` or the previous step.
            visible: bool `(batch, hypotheses, n + hypotheses)`. Which of the `n` positions of `past` and of the new
                positions belong to each hypothesis.
            source: from `encode`.

        Returns: float32 `(batch, hypotheses, vocab_size)`, and the new `past`.
        """
        encoded, encoded_bias = source
        x, new_past = self.decoder_embeddings.step(token_ids, position), []
        bias = attention_bias(visible, dtype=x.dtype)
        for block, of_block, of_source in zip(self.decoder_blocks, past, encoded, strict=True):
            x, of_block = block.step(x, of_block, bias, of_source, encoded_bias)
            new_past.append(of_block)
        return self.next_token_head(x, self.decoder_embeddings.token_embedding), new_past


def _encoded(backbone: BertBackbone, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
    """The encoder's output and the bias of its padding."""
    encoded = backbone.encode_layers(inputs)[-1]  # its layers one by one, as the decoder may share the embeddings
    return encoded, attention_bias(inputs["padding_mask"], dtype=encoded.dtype)


def _embedded(embeddings: BertEmbeddings, inputs: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """The embedded target, the token embedding, and the bias of the decoder's self-attention."""
    token_ids = inputs["decoder_token_ids"]
    x, token_embedding = embeddings(token_ids, ops.zeros_like(token_ids))
    bias = attention_bias(inputs["decoder_padding_mask"], dtype=x.dtype)
    return x, token_embedding, one_way(bias, LEFT_TO_RIGHT)
