"""Cost and benefit of rounding up the length of rows, in fine-tuning and in prediction.

    python benchmarks/padding.py TABLE MODEL [--steps 40] [--rounds 3]

TABLE is a labelled table, such as SST-2's train.tsv; MODEL is a folder with a BERT and its vocabulary. Rows are padded
to the longest of their batch, rounded up to a multiple of 1, 2, 4, 8, 16 or 32, or to the full length. The multiples
take turns; the first round also shows the cost of shapes that are seen for the first time.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import keras_bert_scratch as kbs
from keras_bert_scratch.tasks.data import texts

MULTIPLES = (1, 2, 4, 8, 16, 32, 128)
BATCH_SIZE, MAX_LENGTH = 32, 128


def main(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    folder: Annotated[Path, typer.Argument(help="Folder with a BERT and its vocabulary.")],
    steps: Annotated[int, typer.Option(help="Training steps per multiple and round.")] = 40,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the best one counts.")] = 3,
) -> None:
    """Prints a row for each multiple."""
    data = kbs.TaskData.read("classification", table, kbs.BertTokenizer.load(folder), MAX_LENGTH)
    model = kbs.BertTextClassifier.from_pretrained(folder, num_classes=len(data.spec.labels))
    model.compile(kbs.BertAdamW(1e-5))
    fractions: dict[int, float] = {}
    training: dict[int, list[float]] = {multiple: [] for multiple in MULTIPLES}
    prediction: dict[int, list[float]] = {multiple: [] for multiple in MULTIPLES}
    some = {"text": list(data.examples.raw["text"][: BATCH_SIZE * steps])}
    for _ in range(rounds):
        for multiple in MULTIPLES:
            texts.LENGTH_STEP = multiple  # read when the graph of a pipeline is built
            batches = list(data.training_batches(BATCH_SIZE, seed=1).take(steps))
            masks = [np.asarray(inputs["padding_mask"]) for inputs, _ in batches]
            fractions[multiple] = sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)
            model.train_on_batch(*batches[0])
            start = time.perf_counter()
            for batch in batches:
                model.train_function(iter([batch]))
            training[multiple].append(BATCH_SIZE * steps / (time.perf_counter() - start))
            tuned = kbs.FineTuned(model, data.tokenizer, data.spec)  # it builds a new graph
            tuned.predict({"text": some["text"][:1]})
            start = time.perf_counter()
            tuned.predict(some)
            prediction[multiple].append(len(some["text"]) / (time.perf_counter() - start))
    shown = Table(
        "multiple of", "positions that are tokens", "examples/s trained", "first round", "texts/s", "first round"
    )
    for multiple in MULTIPLES:
        trained, predicted = training[multiple], prediction[multiple]
        numbers = (max(trained), trained[0], max(predicted), predicted[0])
        shown.add_row(str(multiple), f"{fractions[multiple]:.1%}", *(f"{number:.1f}" for number in numbers))
    Console().print(shown)


if __name__ == "__main__":
    typer.run(main)
