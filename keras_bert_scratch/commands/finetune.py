"""`keras-bert finetune`: train a pretrained model for a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    Dtype,
    Epochs,
    FreezeLayers,
    Index,
    LabelColumn,
    LayerDecay,
    Length,
    OnBadRow,
    OnNonfinite,
    Out,
    PairColumn,
    Patience,
    Remat,
    SaveEvery,
    Seed,
    Seeds,
    Strategy,
    TaskBiasCorrection,
    TaskLearningRate,
    TextColumn,
    Tpu,
    VirtualDevices,
    Warmup,
    Workers,
    check_not_given,
    header_names,
    listed,
    seconds_of,
)
from keras_bert_scratch.commands.task_options import DEFAULT_TASK, TaskCommand, given_options
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert finetune --init demo/pretrained --train demo/train.csv --out tuned"
COMMAND = TaskCommand
DEFAULT_PRESET = "bert-mini"  # of a run that starts from random weights


def finetune(
    ctx: typer.Context,
    train: Annotated[Path, typer.Option(help="Labelled table: .csv, .tsv or .jsonl, plain or compressed.")],
    out: Out,
    init: Annotated[Path | None, typer.Option(help="Pretrained run or model folder to start from.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Instead of --init: start from random weights of this size.")
    ] = None,
    vocab: Annotated[
        Path | None, typer.Option(help="With --preset: the vocabulary; without it, translation learns its own.")
    ] = None,
    dropout: Annotated[
        float, typer.Option(help="With --preset: dropout rate; a pretrained model keeps its own.")
    ] = 0.1,
    initializer_range: Annotated[
        float, typer.Option(help="With --preset: standard deviation of the random weights.")
    ] = 0.02,
    dev: Annotated[
        Path | None, typer.Option(help="Table to measure on after each epoch; the best epoch's model is kept.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(help="classification, or another task of docs/tasks; --help then lists its options."),
    ] = DEFAULT_TASK,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    on_bad_row: OnBadRow = "fail",
    epochs: Epochs = 3.0,
    budget: Annotated[str | None, typer.Option(help="Wall-clock time instead of epochs, such as 30m.")] = None,
    patience: Patience = None,
    batch: Batch = 32,
    batch_tokens: Annotated[
        int | None,
        typer.Option(help="Maximum positions per step, instead of --batch: many short rows, or few long ones."),
    ] = None,
    length: Length = 128,
    learning_rate: TaskLearningRate = None,
    warmup: Warmup = 0.1,
    bias_correction: TaskBiasCorrection = None,
    layer_decay: LayerDecay = 1.0,
    freeze_layers: FreezeLayers = 0,
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
    seeds: Seeds = 1,
    search: Annotated[
        list[str] | None,
        typer.Option(
            help="learning_rate=2e-5,5e-5 tries each, several --search every combination; paper: the paper's grid."
        ),
    ] = None,
) -> None:
    """Fine-tune a model on labelled texts."""
    # This must come first: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    if init:
        check_not_given(ctx, ("dropout", "initializer_range"), "has no effect with `init`; leave it out")
    if batch_tokens is not None:
        check_not_given(ctx, ("batch",), "has no effect with `batch_tokens`; leave it out")
    if budget is not None:
        check_not_given(ctx, ("epochs",), "has no effect with `budget`; leave it out")
    from keras_bert_scratch.commands.grid import grid_of
    from keras_bert_scratch.commands.score_tables import results_as_tables
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.tasks import run as runs
    from keras_bert_scratch.tasks.registry import get_task
    from keras_bert_scratch.text.tokenizer import BertTokenizer
    from keras_bert_scratch.training.options import RunOptions

    tokenizer = BertTokenizer.load(vocab) if vocab else None
    start: Path | BertConfig | None = init
    if not init and ((preset and tokenizer) or get_task(task).learns_vocabulary):
        sizes = {"vocab_size": len(tokenizer.vocabulary)} if tokenizer else {}
        start = BertConfig.preset(
            preset or DEFAULT_PRESET,
            hidden_dropout=dropout,
            attention_dropout=dropout,
            initializer_range=initializer_range,
            **sizes,
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
            epochs,
            batch,
            length,
            learning_rate,
            warmup,
            bias_correction,
            layer_decay,
            freeze_layers,
            patience,
            None if budget is None else seconds_of(budget, "budget"),
            batch_tokens,
        ),
        RunOptions(dtype, accumulate, remat, seconds_of(save_every, "save_every"), on_nonfinite),
        given_options(ctx),
        header_names(text_column, pair_column, label_column),
        on_bad_row,
        seed,
        seeds,
        tokenizer,
        devices,
        grid_of(search or [], task),
    )
    print_run(run, results_as_tables(run.results))
