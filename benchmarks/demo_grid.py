"""The settings of the demo's two starts in the task of word order: which rate and how many epochs serve each best.

    python benchmarks/demo_grid.py DEMO [--labels 10000] [--seeds 5] [--rates 2e-4,7e-4,2e-3] [--epochs 2]

DEMO is the folder of a finished `keras-bert demo`, whose tables and pretrained network are used. Each cell is the mean
accuracy on the held-out sentences and its standard deviation over the seeds, after the last step of each run.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import typer

import keras_bert_scratch as kbs
from keras_bert_scratch.commands.demo import PRESET
from keras_bert_scratch.tasks.data.tables import Column, TableReader


def main(
    demo: Annotated[Path, typer.Argument(help="A finished demo.")],
    labels: Annotated[int, typer.Option(help="Training rows, the first of the table.")] = 10_000,
    seeds: Annotated[int, typer.Option(help="Runs of each setting.")] = 5,
    rates: Annotated[str, typer.Option(help="Learning rates.")] = "2e-4,7e-4,2e-3",
    epochs: Annotated[str, typer.Option(help="Epochs.")] = "2",
    starts: Annotated[str, typer.Option(help="pretrained, and standard deviations of random weights.")] = (
        "pretrained,0.02,0.06"
    ),
) -> None:
    """Prints a row for each setting as it is measured."""
    train, held_out = (_columns(demo / f"order_{part}.csv") for part in ("train", "held_out"))
    train = {name: values[:labels] for name, values in train.items()}
    print("| start | epochs | rate | accuracy | s per run |\n|---|---:|---:|---:|---:|")
    for start, passes, rate in itertools.product(starts.split(","), epochs.split(","), rates.split(",")):
        how = kbs.FineTuning(
            epochs=float(passes), batch_size=64, max_length=40, learning_rate=float(rate), bias_correction=True
        )
        began, accuracies = time.perf_counter(), []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                kbs.finetune(
                    "classification", train=train, out=f"{folder}/run", how=how, seed=seed, **_start(demo, start)
                )
                accuracies.append(kbs.evaluate(f"{folder}/run", held_out)["accuracy"])
        spread = f"{statistics.mean(accuracies):.1%} ± {100 * statistics.stdev(accuracies):.1f}"
        print(f"| {start} | {passes} | {rate} | {spread} | {(time.perf_counter() - began) / seeds:.0f} |", flush=True)


def _start(demo: Path, start: str) -> dict[str, object]:
    if start == "pretrained":
        return {"init": demo / "pretrained"}
    tokenizer = kbs.BertTokenizer.load(demo / "pretrained")
    config = kbs.BertConfig.preset(
        PRESET,
        vocab_size=len(tokenizer.vocabulary),
        hidden_dropout=0.0,
        attention_dropout=0.0,
        initializer_range=float(start),
    )
    return {"init": config, "tokenizer": tokenizer}


def _columns(table: Path) -> dict[str, list[str]]:
    rows = [row.values for row in TableReader(table, [Column("text"), Column("label", kind="label")])]
    return {name: [row[name] for row in rows] for name in ("text", "label")}


if __name__ == "__main__":
    typer.run(main)
