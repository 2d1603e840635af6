"""How often a hidden word is found from the left context, from the right, from both separately and from both jointly.

    keras-bert pretrain records --preset bert-mini --pairs none --steps N ... --out both
    keras-bert pretrain records --preset bert-mini --objective causal --steps N ... --out left
    keras-bert pretrain records --preset bert-mini --objective right-to-left --steps N ... --out right
    python experiments/hidden_words.py both left right records HELD_OUT_RECORDS [--number 10000] [--length 64]

One token in the middle of each row is hidden. The two-way model sees the row with `[MASK]` in its place; the
left-to-right model sees what is before it, the other one what is after it. Joined, they predict the product of both
probabilities, divided by the prior (by Bayes, if left and right were independent given the word): the frequencies of
words in the records that the models were trained on.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.special import log_softmax

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.main import handle_errors

SHORTEST = 8  # tokens of a row that is measured
COUNTED = 200_000  # words that are counted to estimate the frequencies in the records


@dataclasses.dataclass(frozen=True)
class MaskedExamples:
    """Rows in each of which one token is hidden.

    Args:
        inputs: dict of int32 `(rows, length)`. The complete rows, nothing is masked in them.
        positions: int `(rows,)`. Of the hidden token, in the middle half of the row.
        words: int `(rows,)`. The hidden tokens.
    """

    inputs: dict[str, np.ndarray]
    positions: np.ndarray
    words: np.ndarray


def masked_examples(
    records: kbs.PretrainingRecords, number: int, batch: int = 32, length: int = 64
) -> Iterator[MaskedExamples]:
    """Yields batches with `number` hidden tokens in all, the same ones in every call."""
    rules = kbs.ExampleRules("none", short_seq_prob=0.0, objective="left-to-right")
    draws = np.random.default_rng(0)
    found = 0
    for inputs, _, _ in records.batches(batch, length, rules=rules).as_numpy_iterator():
        sizes = inputs["padding_mask"].sum(axis=1)
        kept = np.flatnonzero(sizes >= SHORTEST)[: number - found]
        inputs, sizes = {name: values[kept] for name, values in inputs.items()}, sizes[kept]
        positions = draws.integers(sizes // 4, 3 * sizes // 4)
        yield MaskedExamples(inputs, positions, inputs["token_ids"][np.arange(len(kept)), positions])
        found += len(kept)
        if found >= number:
            return


def rows_of(records: kbs.PretrainingRecords, number: int, length: int = 64) -> Iterator[np.ndarray]:
    """Yields the token ids of `number` rows, without special tokens."""
    rules = kbs.ExampleRules("none", short_seq_prob=0.0, objective="left-to-right")
    batches = records.batches(256, length, rules=rules).as_numpy_iterator()
    rows = (
        ids[1 : mask.sum() - 1]
        for inputs, _, _ in batches
        for ids, mask in zip(inputs["token_ids"], inputs["padding_mask"], strict=True)
    )
    yield from itertools.islice(rows, number)


def words_of(records: kbs.PretrainingRecords, number: int, **sizes: int) -> np.ndarray:
    """The hidden tokens, int `(number,)`."""
    return np.concatenate([hidden.words for hidden in masked_examples(records, number, **sizes)])


def masked_log_probs(run: Path, records: kbs.PretrainingRecords, number: int, **sizes: int) -> np.ndarray:
    """Returns a pretrained model's predictions of each hidden token: log probabilities `(number, vocab_size)`.

    Args:
        run: Path. Of a model of any direction; the output of a one-way model is read at the neighbouring position.
        records, number, sizes: as in `masked_examples`.

    Raises:
        UserError: the model has another vocabulary than the records.
    """
    check_vocabulary(kbs.BertTokenizer.load(run), run, records)
    direction = kbs.BertBackbone.from_pretrained(run).config.direction
    two_way = direction == "both"
    model = (kbs.BertMaskedLM if two_way else kbs.BertCausalLM).from_pretrained(run)
    predictions = []
    for hidden in masked_examples(records, number, **sizes):
        rows = np.arange(len(hidden.words))
        if two_way:
            token_ids = hidden.inputs["token_ids"].copy()
            token_ids[rows, hidden.positions] = records.tokenizer.vocabulary.mask_id
            positions = hidden.positions[:, None].astype("int32")
            logits = np.asarray(model({**hidden.inputs, "token_ids": token_ids, "mask_positions": positions}))[:, 0]
        else:
            neighbour = hidden.positions + (1 if direction == "right-to-left" else -1)
            logits = np.asarray(model(hidden.inputs))[rows, neighbour]
        predictions.append(log_softmax(logits, axis=-1).astype("float32"))
    return np.concatenate(predictions)


def check_vocabulary(tokenizer: kbs.BertTokenizer, of: Path, records: kbs.PretrainingRecords) -> None:
    """Raises `UserError` unless both vocabularies are the same: the predictions are of ids, not of words."""
    if tokenizer.vocabulary.sha256 != records.tokenizer.vocabulary.sha256:
        raise kbs.UserError(f"{of}: its vocabulary is not that of the held-out records; give a run and records of one")


def check_directions(runs: Mapping[str, Path]) -> None:
    """Raises `UserError` unless each run's model reads in the direction that is its key."""
    for wanted, run in runs.items():
        found = kbs.BertBackbone.from_pretrained(run).config.direction
        if found != wanted:
            raise kbs.UserError(f"{run}: its direction is {found}, not {wanted}; give the runs as both, left, right")


def frequencies(records: kbs.PretrainingRecords, length: int = 64) -> np.ndarray:
    """Returns how often each token occurs at hidden positions, float64 `(vocab_size,)`, plus 0.5 so that none has 0."""
    return np.bincount(words_of(records, COUNTED, batch=512, length=length), minlength=records.vocab_size) + 0.5


def joined(left: np.ndarray, right: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Combines the predictions of both one-way models by Bayes; not normalised."""
    return left + right - np.log(frequency)


def accuracy(predictions: np.ndarray, words: np.ndarray) -> float:
    """Returns the fraction of hidden tokens that are the most probable ones."""
    return float((predictions.argmax(axis=-1) == words).mean())


def main(
    both: Annotated[Path, typer.Argument(help="A run pretrained on masked words, without pairs.")],
    left: Annotated[Path, typer.Argument(help="A run pretrained with --objective causal.")],
    right: Annotated[Path, typer.Argument(help="A run pretrained with --objective right-to-left.")],
    records: Annotated[Path, typer.Argument(help="The records that the runs were trained on.")],
    held_out: Annotated[Path, typer.Argument(help="Held-out records.")],
    number: Annotated[int, typer.Option(help="Number of words to hide.")] = 10_000,
    length: Annotated[int, typer.Option(help="Tokens per row.")] = 64,
) -> None:
    """Prints the masked-token accuracy of each model, and its standard error."""
    check_directions({"both": both, "left-to-right": left, "right-to-left": right})
    data, trained_on = kbs.PretrainingRecords(held_out), kbs.PretrainingRecords(records)
    check_vocabulary(trained_on.tokenizer, records, data)
    words = words_of(data, number, length=length)
    predictions = {
        name: masked_log_probs(run, data, number, length=length)
        for name, run in {"two-way": both, "left to right": left, "right to left": right}.items()
    }
    frequency = frequencies(trained_on, length)
    predictions["both one-way, joined"] = joined(predictions["left to right"], predictions["right to left"], frequency)
    print(f"| {len(words):,} masked tokens | accuracy | standard error |\n|---|---:|---:|")
    for name, log_probs in predictions.items():
        right_fraction = accuracy(log_probs, words)
        error = np.sqrt(right_fraction * (1 - right_fraction) / len(words))
        print(f"| {name} | {right_fraction:.1%} | {error:.1%} |")


if __name__ == "__main__":
    typer.run(handle_errors(main))
