"""`keras-bert glue`: fine-tune a model for GLUE's tasks, and print one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    BiasCorrection,
    Dtype,
    Epochs,
    FreezeLayers,
    LayerDecay,
    LearningRate,
    Length,
    OnBadRow,
    OnNonfinite,
    Out,
    Patience,
    Remat,
    SaveEvery,
    Seed,
    Seeds,
    Strategy,
    VirtualDevices,
    Warmup,
    listed,
    seconds_of,
)

EXAMPLE = "keras-bert glue --init bert-base-uncased --data glue_data --out glue"
TASKS_FLAG = "--tasks"


class GlueCommand(TyperCommand):
    """A command whose `--tasks` takes several names, separated by commas or spaces."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        joined: list[str] = []
        names = False  # whether the current words are names of tasks
        for argument in args:
            if names and not argument.startswith("-"):
                joined[-1] += f",{argument}" if joined[-1] != TASKS_FLAG else f"={argument}"
            else:
                names = argument.partition("=")[0] == TASKS_FLAG
                joined.append(argument)
        return super().parse_args(ctx, joined)


COMMAND = GlueCommand


def glue(
    init: Annotated[Path, typer.Option(help="Pretrained run or model folder to start from.")],
    data: Annotated[
        str, typer.Option(help="Folder with GLUE's tasks, such as CoLA/train.tsv; or tfds:glue, which has them all.")
    ],
    out: Out,
    tasks: Annotated[
        str, typer.Option(help="Tasks to run, such as 'CoLA RTE'; by default all whose folder is in --data.")
    ] = "",
    on_bad_row: OnBadRow = "fail",
    epochs: Epochs = 3.0,
    patience: Patience = None,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: LearningRate = 5e-5,
    warmup: Warmup = 0.1,
    bias_correction: BiasCorrection = False,
    layer_decay: LayerDecay = 1.0,
    freeze_layers: FreezeLayers = 0,
    dtype: Dtype = "float32",
    accumulate: Accumulate = 1,
    remat: Remat = False,
    strategy: Strategy = "auto",
    virtual_devices: VirtualDevices = None,
    save_every: SaveEvery = "60s",
    on_nonfinite: OnNonfinite = "stop",
    seed: Seed = 0,
    seeds: Seeds = 1,
) -> None:
    """Fine-tune a model for GLUE's tasks, one run each, and print one table of their scores."""
    # This must come first: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, virtual_devices=virtual_devices)
    from keras_bert_scratch.commands.glue_report import print_glue
    from keras_bert_scratch.tasks.fine_tuning import FineTuning
    from keras_bert_scratch.tasks.glue import benchmark
    from keras_bert_scratch.training.options import RunOptions

    results = benchmark.glue(
        init,
        data,
        out,
        listed(tasks.replace(" ", ",")),
        FineTuning(epochs, batch, length, learning_rate, warmup, bias_correction, layer_decay, freeze_layers, patience),
        RunOptions(dtype, accumulate, remat, seconds_of(save_every, "save_every"), on_nonfinite),
        on_bad_row,
        seed,
        seeds,
        strategy=devices,
        say=lambda line: print(line, flush=True),
    )
    print_glue(results, out)
