"""`keras-bert finetune`: teach a pretrained model a task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperCommand

from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    BiasCorrection,
    Dtype,
    Index,
    Length,
    OnBadRow,
    OnNonfinite,
    Out,
    Remat,
    SaveEvery,
    Seed,
    Strategy,
    Tpu,
    VirtualDevices,
    Warmup,
    Workers,
    listed,
    seconds_of,
)
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert finetune --init demo/pretrained --train demo/train.csv --out tuned"
ELSEWHERE = "With `--task NAME --help` the task's own options are shown too."


class TaskCommand(TyperCommand):
    """A command with the options of the task that `--task` names beside its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        name = _value_of("--task", args)
        if name:
            known = {parameter.name for parameter in self.params}
            self.params = [*self.params, *(option for option in _task_options(name) if option.name not in known)]
        return super().parse_args(ctx, args)


def _value_of(flag: str, args: Sequence[str]) -> str | None:
    """The value that `flag` has on the command line; the last one counts."""
    found = None
    for argument, following in zip(args, [*args[1:], None], strict=True):
        if argument == flag:
            found = following
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def _task_options(name: str) -> list[click.Option]:
    """The fields of the task's `Options` as options of the command line, kept in the context and not passed on."""
    from keras_bert_scratch.tasks.task import TASKS, get_task

    if name not in TASKS:  # the verb says so
        return []
    return [
        click.Option(
            [f"--{field.name.replace('_', '-')}"],
            type=type(field.default),
            default=field.default,
            show_default=True,
            help=f"Of {name}; see the docs of the task.",
            expose_value=False,
            callback=_keep,
        )
        for field in dataclasses.fields(get_task(name).Options)
    ]


def _keep(ctx: click.Context, option: click.Parameter, value: Any) -> Any:
    ctx.meta.setdefault("task_options", {})[option.name] = value
    return value


def finetune(
    ctx: typer.Context,
    train: Annotated[Path, typer.Option(help="Labelled table: .csv, .tsv or .jsonl, plain or compressed.")],
    out: Out,
    init: Annotated[Path | None, typer.Option(help="Pretrained run or model folder to start from.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Instead of --init: start from random weights of this size.")
    ] = None,
    vocab: Annotated[Path | None, typer.Option(help="With --preset: the vocabulary.")] = None,
    dropout: Annotated[
        float, typer.Option(help="With --preset: fraction dropped; a pretrained model keeps its own.")
    ] = 0.1,
    dev: Annotated[
        Path | None, typer.Option(help="Table to measure on after each epoch; the best epoch's model is kept.")
    ] = None,
    task: Annotated[
        str, typer.Option(help="classification, pair-classification, regression or multi-label.")
    ] = "classification",
    text_column: Annotated[str | None, typer.Option(help="What the tables call the column text.")] = None,
    pair_column: Annotated[str | None, typer.Option(help="What the tables call the column text_pair.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="What the tables call the column of labels or scores.")
    ] = None,
    on_bad_row: OnBadRow = "fail",
    epochs: Annotated[float, typer.Option(help="How often to go through the training table.")] = 3.0,
    patience: Annotated[int | None, typer.Option(help="Epochs without a better model after which to stop.")] = None,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: Annotated[float, typer.Option(help="The highest rate.")] = 5e-5,
    warmup: Warmup = 0.1,
    bias_correction: BiasCorrection = False,
    layer_decay: Annotated[
        float, typer.Option(help="Factor of the rate per layer downwards; below 1, lower layers change less.")
    ] = 1.0,
    freeze_layers: Annotated[
        int, typer.Option(help="How many of the lowest layers keep their weights, the embeddings with them.")
    ] = 0,
    dtype: Dtype = "float32",
    accumulate: Accumulate = 1,
    remat: Remat = False,
    strategy: Strategy = "auto",
    workers: Workers = "",
    index: Index = None,
    virtual_devices: VirtualDevices = None,
    tpu: Tpu = "",
    save_every: SaveEvery = "60s",
    on_nonfinite: OnNonfinite = "stop",
    seed: Seed = 0,
    seeds: Annotated[int, typer.Option(help="How many runs, with this and the following seeds; mean and sd.")] = 1,
) -> None:
    """Fine-tune a model on labelled texts."""
    # First of all: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.tasks import run as runs
    from keras_bert_scratch.text.tokenizer import BertTokenizer
    from keras_bert_scratch.training.options import RunOptions

    tokenizer = None
    start: Path | BertConfig | None = init
    if preset and vocab and not init:
        tokenizer = BertTokenizer(vocab)
        start = BertConfig.preset(
            preset, vocab_size=len(tokenizer.vocabulary), hidden_dropout=dropout, attention_dropout=dropout
        )
    elif not init or preset or vocab:
        raise UserError("`init`: give it alone, or `preset` with `vocab` to start from random weights")
    header_names = {"text": text_column, "text_pair": pair_column, "label": label_column}
    run = runs.finetune(
        task,
        start,
        train,
        out,
        dev,
        runs.FineTuning(
            epochs, batch, length, learning_rate, warmup, bias_correction, layer_decay, freeze_layers, patience
        ),
        RunOptions(dtype, accumulate, remat, seconds_of(save_every), on_nonfinite),
        ctx.meta.get("task_options", {}),
        {name: value for name, value in header_names.items() if value},
        on_bad_row,
        seed,
        seeds,
        tokenizer,
        devices,
    )
    print_run(run)
