"""A pretrainer's predictions for `[MASK]`, for the demo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from keras_bert_scratch.models.backbone import BertBackbone
from keras_bert_scratch.models.pretrainer import BertPretrainer
from keras_bert_scratch.text.tokenizer import BertTokenizer

MASKED = (
    "I have [MASK] this film twice.",
    "This is one of the [MASK] movies I have ever seen.",
    "The acting [MASK] very good.",
    "The people of the United [MASK] want peace.",
    "It was a waste [MASK] time.",
)


def top_words(model: BertPretrainer, tokenizer: BertTokenizer) -> list[list[str]]:
    """Returns the three most probable words for the `[MASK]` of each text in `MASKED`, best first.

    Args:
        model: BertPretrainer.
        tokenizer: BertTokenizer. Of the model's vocabulary.
    """
    vocabulary = tokenizer.vocabulary
    ids = tokenizer.tokenize(list(MASKED), special_tokens=True).to_list()
    rows = [[vocabulary.cls_id, *row, vocabulary.sep_id] for row in ids]
    token_ids = np.full((len(rows), max(map(len, rows))), vocabulary.pad_id, "int32")
    for row, row_ids in zip(token_ids, rows, strict=True):
        row[: len(row_ids)] = row_ids
    logits = model(
        {
            "token_ids": token_ids,
            "segment_ids": np.zeros_like(token_ids),
            "padding_mask": (token_ids != vocabulary.pad_id).astype("int32"),
            "mask_positions": (token_ids == vocabulary.mask_id).argmax(axis=1)[:, None].astype("int32"),
        }
    )["masked_lm"]
    best = np.argsort(-np.asarray(logits)[:, 0], axis=-1)[:, :3]
    return [[vocabulary.tokens[token] for token in row] for row in best]


def fill_before_and_after(run: Path) -> dict[str, list]:
    """Predicts words with a run's model, and with the same network with random weights.

    Args:
        run: Path. The folder of a pretraining run.

    Returns: the `texts` with their `[MASK]`, and the words `before` and `after`.
    """
    tokenizer = BertTokenizer.load(run)
    trained = BertPretrainer.from_pretrained(run)
    untrained = BertPretrainer(BertBackbone(trained.backbone.config))
    return {"texts": list(MASKED), "before": top_words(untrained, tokenizer), "after": top_words(trained, tokenizer)}
