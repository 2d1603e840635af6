"""`keras-bert finetune`: teach a pretrained model a task."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from keras_bert_scratch.commands.app import import_tensorflow_quietly
from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    BiasCorrection,
    Dtype,
    Index,
    LabelColumn,
    Length,
    OnBadRow,
    OnNonfinite,
    Out,
    PairColumn,
    Remat,
    SaveEvery,
    Seed,
    Strategy,
    TextColumn,
    Tpu,
    VirtualDevices,
    Warmup,
    Workers,
    header_names,
    listed,
    seconds_of,
)
from keras_bert_scratch.errors import UserError

DEFAULT_TASK = "classification"
EXAMPLE = "keras-bert finetune --init demo/pretrained --train demo/train.csv --out tuned"


class TaskCommand(TyperCommand):
    """A command with the options of the task beside its own; its help shows those of a task that is named alone."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        asks_for_help = not {"-h", "--help"}.isdisjoint(args)
        if name := _value_of("--task", args) or ("" if asks_for_help else DEFAULT_TASK):
            self.params = [*self.params, *_task_options(name)]
        return super().parse_args(ctx, args)


COMMAND = TaskCommand


def _value_of(flag: str, args: Sequence[str]) -> str | None:
    """The value that `flag` has on the command line; the last one counts."""
    found = None
    for argument, following in zip(args, [*args[1:], None], strict=True):
        if argument == flag:
            found = following
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    return found


def _task_options(name: str) -> list[Any]:
    """The fields of the task's `Options` as options of the command line; their values go to the context."""
    from keras_bert_scratch.tasks.task import TASKS, get_task

    if name not in TASKS:  # the verb says so
        return []
    import_tensorflow_quietly()  # the task's file needs it

    of_task = get_task(name).Options
    kinds = typing.get_type_hints(of_task)

    def keep(ctx: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
        ctx.meta.setdefault("task_options", {})[parameter.name] = value
        return value

    def options() -> None:
        """Carries the signature that the options are made of."""

    options.__signature__ = inspect.Signature(
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=Annotated[
                # What is a number or a word is a word here; the options make a number of it.
                str if str in typing.get_args(kinds[field.name]) else kinds[field.name],
                typer.Option(callback=keep, help=f"Of {name}: docs/tasks/{name}.md."),
            ],
        )
        for field in dataclasses.fields(of_task)
    )
    options.__annotations__ = {name: field.annotation for name, field in options.__signature__.parameters.items()}
    alone = typer.Typer(add_completion=False)
    alone.command()(options)
    found = [option for option in typer.main.get_command(alone).params if option.name != "help"]
    for option in found:
        option.expose_value = False  # the verb's own function does not take it
    return found


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
    initializer_range: Annotated[
        float, typer.Option(help="With --preset: standard deviation of the random weights.")
    ] = 0.02,
    dev: Annotated[
        Path | None, typer.Option(help="Table to measure on after each epoch; the best epoch's model is kept.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(help="classification, or another one of docs/tasks; with --help its own options are shown."),
    ] = DEFAULT_TASK,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
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
    seeds: Annotated[
        int, typer.Option(help="How many runs, with this and the following seeds; mean, sd, confidence interval.")
    ] = 1,
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="learning_rate=2e-5,5e-5 tries each, several --search every combination; or paper: its grid."
        ),
    ] = None,
) -> None:
    """Fine-tune a model on labelled texts."""
    # First of all: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.grid import grid_of
    from keras_bert_scratch.commands.score_tables import arranged
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
            preset,
            vocab_size=len(tokenizer.vocabulary),
            hidden_dropout=dropout,
            attention_dropout=dropout,
            initializer_range=initializer_range,
        )
    elif not init or preset or vocab:
        raise UserError("`init`: give it alone, or `preset` with `vocab` to start from random weights")
    run = runs.finetune(
        task,
        start,
        train,
        out,
        dev,
        runs.FineTuning(
            epochs, batch, length, learning_rate, warmup, bias_correction, layer_decay, freeze_layers, patience
        ),
        RunOptions(dtype, accumulate, remat, seconds_of(save_every, "save_every"), on_nonfinite),
        ctx.meta.get("task_options", {}),
        header_names(text_column, pair_column, label_column),
        on_bad_row,
        seed,
        seeds,
        tokenizer,
        devices,
        grid_of(search or [], task),
    )
    print_run(run, arranged(run.results))
