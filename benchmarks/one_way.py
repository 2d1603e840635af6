"""How often a hidden word is found by looking to the left, to the right, at both apart, and at both together.

    keras-bert pretrain records --preset bert-mini --pairs none --steps N ... --out both
    keras-bert pretrain records --preset bert-mini --objective causal --steps N ... --out left
    keras-bert pretrain records --preset bert-mini --objective right-to-left --steps N ... --out right
    python benchmarks/one_way.py both left right HELD_OUT_RECORDS [--batches 40] [--batch 32] [--length 64]

A token in the middle of a row is hidden, one in each row. The two-way model sees the row with `[MASK]` in its place;
the left-to-right model what is before it, the other what is after it; their join is the product of what both say,
divided by what is said before anything is read (by Bayes, if left and right were independent given the word): the
frequencies of the words that the batches hide.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.special import log_softmax

import keras_bert_scratch as kbs
from keras_bert_scratch.data.pretraining.rules import ExampleRules


def main(
    both: Annotated[Path, typer.Argument(help="A run of masked words without pairs.")],
    left: Annotated[Path, typer.Argument(help="A run of --objective causal.")],
    right: Annotated[Path, typer.Argument(help="A run of --objective right-to-left.")],
    records: Annotated[Path, typer.Argument(help="Held-out records.")],
    batches: Annotated[int, typer.Option(help="Batches to ask.")] = 40,
    batch: Annotated[int, typer.Option(help="Rows of a batch.")] = 32,
    length: Annotated[int, typer.Option(help="Tokens of a row.")] = 64,
) -> None:
    """Prints the fraction of hidden words that are found, and its standard error."""
    data = kbs.PretrainingRecords(records)
    vocabulary = data.tokenizer.vocabulary
    masked = kbs.BertMaskedLM.from_pretrained(both)
    forward, backward = (kbs.BertCausalLM.from_pretrained(path) for path in (left, right))
    rules = ExampleRules("none", short_seq_prob=0.0, objective="left-to-right")
    draws = np.random.default_rng(0)
    hidden, said = [], {"two-way": [], "left to right": [], "right to left": []}
    for inputs, _, _ in data.batches(batch, length, rules=rules).take(batches).as_numpy_iterator():
        sizes = inputs["padding_mask"].sum(axis=1)
        keep = sizes >= 8
        inputs, sizes = {name: values[keep] for name, values in inputs.items()}, sizes[keep]
        rows, at = np.arange(len(sizes)), draws.integers(sizes // 4, 3 * sizes // 4)
        hidden.append(inputs["token_ids"][rows, at])
        with_mask = inputs["token_ids"].copy()
        with_mask[rows, at] = vocabulary.mask_id
        logits = masked({**inputs, "token_ids": with_mask, "mask_positions": at[:, None].astype("int32")})
        said["two-way"].append(log_softmax(np.asarray(logits)[:, 0], axis=-1))
        said["left to right"].append(log_softmax(np.asarray(forward(inputs))[rows, at - 1], axis=-1))
        said["right to left"].append(log_softmax(np.asarray(backward(inputs))[rows, at + 1], axis=-1))
    words = np.concatenate(hidden)
    told = {name: np.concatenate(parts) for name, parts in said.items()}
    frequency = np.log(np.bincount(words, minlength=len(vocabulary)) + 1.0)
    told["both one-way, joined"] = told["left to right"] + told["right to left"] - frequency
    print(f"| {len(words):,} hidden words | found | standard error |\n|---|---:|---:|")
    for name, log_probs in told.items():
        found = (log_probs.argmax(axis=-1) == words).mean()
        print(f"| {name} | {found:.1%} | {np.sqrt(found * (1 - found) / len(words)):.1%} |")


if __name__ == "__main__":
    typer.run(main)
