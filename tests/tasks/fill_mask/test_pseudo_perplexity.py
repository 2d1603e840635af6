"""The rows that score a text, and its pseudo-perplexity."""

import itertools
import math

import pytest
import tensorflow as tf
from tasks.small_masked_model import (
    CLS,
    ING,
    MASK,
    PLAY,
    SEP,
    TASK,
    TOKENS,
    WHOLE,
    A,
    B,
    log_likelihood,
    masked_model,
    probabilities,
)

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks import fill_mask

# --- rows


def rows_of(letters, text: str, max_length: int) -> list[str]:
    """The rows of one text, as text; the piece to predict is in angle brackets."""
    spec = kbs.Spec("fill-mask", ("text",), max_length, options={"top_k": 1, "targets": []})
    inputs = TASK.features(spec, letters, {"text": tf.constant([text])}).inputs
    shown = []
    for ids, mask, (position,) in zip(
        *(inputs[name].numpy() for name in ("token_ids", "padding_mask", "mask_positions")), strict=True
    ):
        tokens = [TOKENS[token] for token in ids[: mask.sum()]]
        tokens[position] = f"<{tokens[position]}>"
        shown.append(" ".join(tokens).replace("[MASK]", "_"))
    return shown


@pytest.mark.parametrize(
    ("text", "length", "rows"),
    [
        (
            "playing a played",
            9,
            [
                "[CLS] <_> _ a play ##ed [SEP]",
                "[CLS] play <_> a play ##ed [SEP]",
                "[CLS] play ##ing <_> play ##ed [SEP]",
                "[CLS] play ##ing a <_> _ [SEP]",
                "[CLS] play ##ing a play <_> [SEP]",
            ],
        ),
        # A text longer than a row: equal context before and after the piece; at an end of the text, all that fits.
        ("a b a b [MASK] . . . b", 6, ["[CLS] a b <_> . [SEP]"]),
        ("[MASK] a b a b a [MASK]", 5, ["[CLS] <_> a b [SEP]", "[CLS] b a <_> [SEP]"]),
        # Masked pieces of the word that are beyond the row are cut off.
        (
            "a playinging",
            5,
            [
                "[CLS] <_> play ##ing [SEP]",
                "[CLS] a <_> _ [SEP]",
                "[CLS] play <_> _ [SEP]",
                "[CLS] play ##ing <_> [SEP]",
            ],
        ),
        ("", 5, ["[CLS] <_> [SEP]"]),
        ("[SEP]", 9, ["[CLS] <_> [UNK] [UNK] [SEP]", "[CLS] [UNK] <_> [UNK] [SEP]", "[CLS] [UNK] [UNK] <_> [SEP]"]),
    ],
)
def test_rows(letters, text, length, rows):
    assert rows_of(letters, text, length) == rows


def test_pseudo_perplexity_is_that_of_its_definition(model, monkeypatch):
    monkeypatch.setattr(fill_mask, "ROWS_AT_ONCE", 2)
    true = sum(log_likelihood(model, pieces) for pieces in WHOLE.values())
    _, examples = TASK.read({"text": list(WHOLE)}, model.spec)
    results = model.evaluate(examples)
    expected = {"pseudo_perplexity": math.exp(-true / 11), "pseudo_perplexity_per_word": math.exp(-true / 7)}
    expected |= {"pieces": 11, "words": 7, "unknown_pieces": 1, "loss": -true / 11, "examples": 4}
    assert results == pytest.approx(expected, rel=1e-3)


def test_of_no_pieces_there_is_none(model):
    _, examples = TASK.read({"text": ["", " \n"]}, model.spec)
    results = model.evaluate(examples)
    assert (results["pseudo_perplexity"], results["pseudo_perplexity_per_word"], results["pieces"]) == (None, None, 0)


def test_a_long_text_counts_every_piece_once(letters):
    model = masked_model(letters, max_length=7)
    pieces = [A, PLAY, ING, B] * 4
    _, examples = TASK.read({"text": ["a playing b " * 4]}, model.spec)
    total = 0.0
    for position, piece in enumerate(pieces):
        start = min(max(position - 2, 0), len(pieces) - 5)
        row = list(pieces)
        row[position] = MASK
        if piece == PLAY:
            row[position + 1] = MASK
        total += math.log(probabilities(model, row[start : start + 5], position - start)[piece])
    results = model.evaluate(examples)
    assert results["pieces"] == 16
    assert results["loss"] == pytest.approx(-total / 16, abs=1e-3)


def test_windows_are_numbered_as_batches_take_them(model):
    """`fit` and its validation read windows one by one."""
    spec, examples = TASK.read({"text": list(WHOLE)}, model.spec)
    data = kbs.TaskData(TASK, spec, examples, model.tokenizer)
    assert len(data) == 12  # the window of the empty text has weight 0
    rows = [
        (tuple(ids[mask == 1]), label)
        for inputs, labels, weights in data.evaluation_batches(5).as_numpy_iterator()
        for ids, mask, (label,), (weight,) in zip(
            inputs["token_ids"], inputs["padding_mask"], labels, weights, strict=True
        )
        if weight
    ]
    assert sorted(label for _, label in rows) == sorted(itertools.chain(*WHOLE.values()))
    assert ((CLS, PLAY, MASK, MASK, SEP), ING) in rows
