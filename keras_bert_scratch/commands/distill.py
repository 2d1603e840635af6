"""`keras-bert distill`: train a small model on the outputs of large ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    Dtype,
    Epochs,
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
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert distill --teacher tuned --student bert-l2-h128/ --text reviews.csv --out small"
PAIR = re.compile(r"(\d+):(\d+)")


def distill(
    ctx: typer.Context,
    teacher: Annotated[
        list[Path], typer.Option(help="Fine-tuned model; the logits of several --teacher of one task are averaged.")
    ],
    text: Annotated[Path, typer.Option(help="Table of texts with the teacher's columns; labels in it are ignored.")],
    out: Out,
    student: Annotated[Path | None, typer.Option(help="Pretrained run or model folder to train.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Instead of --student: random weights of this size, with the teacher's vocabulary."),
    ] = None,
    dev: Annotated[
        Path | None, typer.Option(help="Labelled table to measure on after each epoch; the best student is kept.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Divisor of the student's and the teacher's logits.")] = 2.0,
    hidden: Annotated[
        str,
        typer.Option(
            help="Layers whose hidden states are matched, as STUDENT:TEACHER, such as 1:3,2:6; 0: embeddings."
        ),
    ] = "",
    attention: Annotated[str, typer.Option(help="Layers whose attention weights are matched, such as 1:3,2:6.")] = "",
    hidden_weight: Annotated[float, typer.Option(help="With --hidden: weight of its loss.")] = 1.0,
    attention_weight: Annotated[float, typer.Option(help="With --attention: weight of its loss.")] = 1.0,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    on_bad_row: OnBadRow = "fail",
    epochs: Epochs = 3.0,
    budget: Annotated[str | None, typer.Option(help="Wall-clock time instead of epochs, such as 30m.")] = None,
    patience: Patience = None,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: TaskLearningRate = None,
    warmup: Warmup = 0.1,
    bias_correction: TaskBiasCorrection = None,
    layer_decay: LayerDecay = 1.0,
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
) -> None:
    """Train a small model on the predictions of large ones for texts without labels."""
    # This must come first: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.score_tables import results_as_tables
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.tasks import distillation
    from keras_bert_scratch.tasks.distilled import Distillation
    from keras_bert_scratch.tasks.fine_tuning import FineTuning
    from keras_bert_scratch.training.options import RunOptions

    if bool(student) == bool(preset):
        raise UserError("`student`, `preset`: give exactly one of them, a model or a size")
    if budget is not None:
        check_not_given(ctx, ("epochs",), "has no effect with `budget`; leave it out")
    if not hidden:
        check_not_given(ctx, ("hidden_weight",), "has no effect without `hidden`; leave it out")
    if not attention:
        check_not_given(ctx, ("attention_weight",), "has no effect without `attention`; leave it out")
    run = distillation.distill(
        teacher,
        student or BertConfig.preset(preset or ""),
        text,
        out,
        dev,
        FineTuning(
            epochs,
            batch,
            length,
            learning_rate,
            warmup,
            bias_correction,
            layer_decay,
            patience=patience,
            seconds=None if budget is None else seconds_of(budget, "budget"),
        ),
        Distillation(
            temperature, pairs_of(hidden, "hidden"), pairs_of(attention, "attention"), hidden_weight, attention_weight
        ),
        RunOptions(dtype, accumulate, remat, seconds_of(save_every, "save_every"), on_nonfinite),
        header_names(text_column, pair_column, label_column),
        on_bad_row,
        seed,
        strategy=devices,
    )
    print_run(run, results_as_tables(run.results))


def pairs_of(text: str, name: str) -> tuple[tuple[int, int], ...]:
    """Parses pairs of layer numbers, the student's first.

    Example:
        >>> pairs_of("1:3,2:6", "hidden")
        ((1, 3), (2, 6))
    """
    pairs = []
    for part in filter(None, text.split(",")):
        if (found := PAIR.fullmatch(part.strip())) is None:
            raise UserError(
                f"`{name}`: {part!r} is not a pair of layers; write pairs such as 1:3,2:6, the student's layer first"
            )
        pairs.append((int(found[1]), int(found[2])))
    return tuple(pairs)
