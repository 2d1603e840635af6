"""A small vocabulary, and a network with random weights that fills masks."""

import math

import keras
import numpy as np

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.registry import get_task

TASK = get_task("fill-mask")
TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused7]", "a", "b", "play", "##ing", "##ed", ".", "京", "")
PAD, UNK, CLS, SEP, MASK, UNUSED, A, B, PLAY, ING, ED, DOT, KYO, EMPTY = range(len(TOKENS))


def masked_model(letters, max_length: int = 16, **options) -> kbs.FineTuned:
    """A network with random weights and confident predictions; `options` go to `FineTuned.with_prediction_options`."""
    keras.utils.set_random_seed(1)
    config = kbs.BertConfig(
        vocab_size=len(TOKENS), num_layers=1, hidden_size=16, num_heads=2, max_position_embeddings=16
    )
    model = kbs.BertMaskedLM(kbs.BertBackbone(config.replace(initializer_range=0.7), pooler=False))
    spec = kbs.Spec("fill-mask", ("text",), max_length, options={"top_k": 5, "targets": []})
    return kbs.FineTuned(model, letters, spec).with_prediction_options(**options)


def all_probabilities(model: kbs.FineTuned, rows: list[tuple[list[int], int]]) -> np.ndarray:
    """The model's distribution at one position of each row; the rows are built here and must be equally long."""
    ids = np.array([[CLS, *pieces, SEP] for pieces, _ in rows], np.int32)
    inputs = {"token_ids": ids, "segment_ids": 0 * ids, "padding_mask": 0 * ids + 1}
    positions = np.array([[position + 1] for _, position in rows], np.int32)
    logits = np.asarray(model.model({**inputs, "mask_positions": positions}), np.float64)[:, 0]
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def probabilities(model: kbs.FineTuned, pieces: list[int], position: int) -> np.ndarray:
    return all_probabilities(model, [(pieces, position)])[0]


def log_likelihood(model: kbs.FineTuned, pieces: list[int]) -> float:
    """By definition: each piece is predicted with it and the later pieces of its word masked."""
    total = 0.0
    for position, piece in enumerate(pieces):
        end = position + 1
        while end < len(pieces) and TOKENS[pieces[end]].startswith("##"):
            end += 1
        hidden = [*pieces[:position], *[MASK] * (end - position), *pieces[end:]]
        total += math.log(probabilities(model, hidden, position)[piece])
    return total


WHOLE = {"Playing a played b.": [PLAY, ING, A, PLAY, ED, B, DOT], "chess": [UNK], "": [], "playinged": [PLAY, ING, ED]}
