"""What a task gains from pretraining: a pretrained model compared with the same network from random weights.

    python benchmarks/pretrained_or_random.py PRETRAINED TRAIN DEV [--labels 10000] [--seeds 5]
        [--rates 2e-4,7e-4,2e-3] [--epochs 2] [--starts pretrained,0.02,0.06]

PRETRAINED is a run of `keras-bert pretrain`, such as `demo/pretrained`; TRAIN and DEV are tables of `text` (or
`sentence`) and `label`. A cell is the mean accuracy on DEV and its standard deviation over the seeds, after the last
step of each run.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.checkpoints.formats import read_checkpoint
from keras_bert_scratch.tasks.data.tables import Column, read_table


def main(
    pretrained: Annotated[Path, typer.Argument(help="A pretrained run.")],
    train: Annotated[Path, typer.Argument(help="Labelled table to train on.")],
    dev: Annotated[Path, typer.Argument(help="Labelled table to evaluate on.")],
    labels: Annotated[int, typer.Option(help="Number of training rows, from the top of the table; 0: all.")] = 10_000,
    seeds: Annotated[int, typer.Option(help="Number of runs per setting.")] = 5,
    rates: Annotated[str, typer.Option(help="Learning rates, separated by commas.")] = "2e-4,7e-4,2e-3",
    epochs: Annotated[str, typer.Option(help="Epochs, separated by commas.")] = "2",
    length: Annotated[int, typer.Option(help="Tokens per row.")] = 40,
    starts: Annotated[str, typer.Option(help="`pretrained` and standard deviations of random weights.")] = (
        "pretrained,0.02,0.06"
    ),
) -> None:
    """Prints a row for each setting as it is measured."""
    rows, measured = _columns(train), _columns(dev)
    rows = {name: values[: labels or None] for name, values in rows.items()}
    print("| start | labels | epochs | rate | accuracy | s per run |\n|---|---:|---:|---:|---:|---:|")
    for start, passes, rate in itertools.product(starts.split(","), epochs.split(","), rates.split(",")):
        how = kbs.FineTuning(
            epochs=float(passes), batch_size=64, max_length=length, learning_rate=float(rate), bias_correction=True
        )
        began, accuracies = time.perf_counter(), []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                kbs.finetune(
                    "classification", train=rows, out=f"{folder}/run", how=how, seed=seed, **_start(pretrained, start)
                )
                accuracies.append(kbs.evaluate(f"{folder}/run", measured)["accuracy"])
        spread = f"{statistics.mean(accuracies):.1%}"
        if seeds > 1:
            spread += f" ± {100 * statistics.stdev(accuracies):.1f}"
        seconds = (time.perf_counter() - began) / seeds
        print(f"| {start} | {len(rows['text']):,} | {passes} | {rate} | {spread} | {seconds:.0f} |", flush=True)


def _start(pretrained: Path, start: str) -> dict[str, Any]:
    if start == "pretrained":
        return {"init": pretrained}
    config = read_checkpoint(pretrained).config.replace(initializer_range=float(start))
    return {"init": config, "tokenizer": kbs.BertTokenizer.load(pretrained)}


def _columns(table: Path) -> dict[str, list[str]]:
    return read_table(table, [Column("text", ("sentence",)), Column("label", kind="label")]).columns


if __name__ == "__main__":
    typer.run(main)
