"""Counted baselines for masked words: reference losses for a small pretraining run.

    python experiments/counted_bounds.py TEXT VOCAB [--positions 5000]

TEXT is a folder with `train/` and `held_out/`, such as `demo/text` of `keras-bert demo`. Three predictors of a hidden
token are counted on `train/` and measured on `held_out/`: unigram, its frequency; bigram, given the token on its left;
both neighbours, by two bigrams, p(w | l, r) ~ p(w | l) p(r | w). Bigram counts are smoothed towards frequencies with
the weight of 1, 3, 10, 30, 100 and 300 that is best on `held_out/` (this favours counting a little). Sentences have
`[SEP]` at both ends.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors

WEIGHTS = (1, 3, 10, 30, 100, 300)


def main(
    text: Annotated[Path, typer.Argument(help="Folder with train/ and held_out/.")],
    vocab: Annotated[Path, typer.Argument(help="The vocabulary file, vocab.txt.")],
    positions: Annotated[int, typer.Option(help="Number of hidden tokens to predict.")] = 5000,
) -> None:
    """Prints a row for each predictor."""
    tokenizer = kbs.BertTokenizer.load(vocab)
    train, held_out = (_tokens(text / part, tokenizer) for part in ("train", "held_out"))
    words = np.flatnonzero(held_out != tokenizer.vocabulary.sep_id)
    chosen = np.random.default_rng(0).choice(words, min(positions, len(words)), replace=False)
    asked = [held_out[chosen + step] for step in (-1, 0, 1)]
    print("| counted | loss | right |\n|---|---:|---:|")
    for name, (loss, right) in bounds(train, train[:-1], train[1:], *asked, len(tokenizer.vocabulary)).items():
        print(f"| {name} | {loss:.2f} | {right:.1%} |")


def bounds(
    tokens: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    left: np.ndarray,
    hidden: np.ndarray,
    right: np.ndarray,
    size: int,
) -> dict[str, tuple[float, float]]:
    """Returns for each predictor the mean loss of hidden tokens, and the fraction whose most probable token is right.

    Args:
        tokens: int `(tokens,)`. Training tokens, for frequencies.
        before, after: int `(pairs,)`. Neighbouring training tokens, for bigram counts.
        left, hidden, right: int `(positions,)`. The tokens to measure on, with both neighbours.
        size: int. Size of the vocabulary.
    """
    frequency = (np.bincount(tokens, minlength=size) + 1) / (len(tokens) + size)
    pairs = np.zeros((size, size), np.float32)
    np.add.at(pairs, (before, after), 1)
    occurrences = pairs.sum(axis=1)
    found = {"unigram": (float(-np.log(frequency[hidden]).mean()), float((hidden == frequency.argmax()).mean()))}
    for name, both in (("bigram", False), ("both neighbours", True)):
        found[name] = min(
            _losses(pairs, occurrences, frequency, weight, left, hidden, right, both) for weight in WEIGHTS
        )
    return found


def _tokens(folder: Path, tokenizer: kbs.BertTokenizer) -> np.ndarray:
    """Returns the ids of all sentences, concatenated, with `[SEP]` around each."""
    separator = np.array([tokenizer.vocabulary.sep_id])
    parts = [separator]
    for document in kbs.read_documents([folder]):
        ids = tokenizer.tokenize(document)
        for sentence in np.split(ids.values.numpy(), ids.row_splits.numpy()[1:-1]):
            parts += [sentence, separator]
    return np.concatenate(parts)


def _losses(
    pairs: np.ndarray,
    occurrences: np.ndarray,
    frequency: np.ndarray,
    weight: float,
    left: np.ndarray,
    hidden: np.ndarray,
    right: np.ndarray,
    both: bool,
) -> tuple[float, float]:
    """Returns the mean loss of the hidden tokens, and the fraction whose most probable token is right."""
    losses, hits = [], 0
    for before, word, after in zip(left, hidden, right, strict=True):
        scores = (pairs[before] + weight * frequency) / (occurrences[before] + weight)
        if both:
            scores = scores * (pairs[:, after] + weight * frequency[after]) / (occurrences + weight)
        losses.append(-np.log(scores[word] / scores.sum()))
        hits += scores.argmax() == word
    return float(np.mean(losses)), hits / len(hidden)


if __name__ == "__main__":
    typer.run(handle_errors(main))
