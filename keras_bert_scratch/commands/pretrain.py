"""`keras-bert pretrain`: train on masked words and next sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    Accumulate,
    Batch,
    BiasCorrection,
    Dtype,
    Index,
    LearningRate,
    Length,
    MaskedFraction,
    Masking,
    MaxPredictions,
    OnNonfinite,
    Out,
    Remat,
    Replacements,
    SaveEvery,
    Seed,
    ShortSeqProb,
    Strategy,
    Tpu,
    VirtualDevices,
    Warmup,
    Workers,
    check_not_given,
    listed,
    replacements_of,
    seconds_of,
)
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert pretrain demo/records --preset bert-tiny --steps 50 --out my-run"


def pretrain(
    ctx: typer.Context,
    records: Annotated[
        Path, typer.Argument(help="Folder of records: made by 'keras-bert tfrecords', or any in Google's format.")
    ],
    out: Out,
    preset: Annotated[
        str | None,
        typer.Option(help="bert-tiny, -mini, -small, -medium, -base (the default), -large or bert-l6-h768."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Instead of --preset: a pretrained model to continue from, such as on text of a task."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    budget: Annotated[str | None, typer.Option(help="Wall-clock time instead of steps, such as 30m.")] = None,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: LearningRate = 1e-4,
    warmup: Warmup = 0.01,
    optimizer: Annotated[str, typer.Option(help="adamw, or lamb for very large batches.")] = "adamw",
    bias_correction: BiasCorrection = False,
    dropout: Annotated[float, typer.Option(help="Dropout rate; a model of --init keeps its own.")] = 0.1,
    initializer_range: Annotated[
        float, typer.Option(help="Standard deviation of the random weights; try a larger one for a small network.")
    ] = 0.02,
    dtype: Dtype = "float32",
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--eval", help="Records to measure on before, during and after training; rows as in the last phase."
        ),
    ] = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            "--eval-every",
            help="With --eval: steps between evaluations; by default a tenth of --steps, or 1000 with --budget.",
        ),
    ] = None,
    second_length: Annotated[
        int | None, typer.Option(help="Tokens per row in a second phase, such as 512 after 128, as in the paper.")
    ] = None,
    second_fraction: Annotated[
        float, typer.Option(help="With --second-length: fraction of the run, at its end.")
    ] = 0.1,
    second_batch: Annotated[
        int | None, typer.Option(help="With --second-length: rows per step; by default as in the first phase.")
    ] = None,
    accumulate: Accumulate = 1,
    remat: Remat = False,
    objective: Annotated[
        str,
        typer.Option(
            help="masked; for a one-way model, causal (the next token, as in GPT) or right-to-left (the previous one)."
        ),
    ] = "masked",
    pairs: Annotated[
        str | None,
        typer.Option(
            help="next: does B follow A; order: are A and B in order; none: only masked words. By default next; for "
            "one-way models none."
        ),
    ] = None,
    packing: Annotated[
        bool,
        typer.Option("--packing", help="Let several short examples share a row; the attention mask separates them."),
    ] = False,
    short_seq_prob: ShortSeqProb = 0.1,
    masking: Masking = "tokens",
    masked_fraction: MaskedFraction = 0.15,
    replacements: Replacements = "80/10/10",
    max_predictions: MaxPredictions = None,
    static_masks: Annotated[
        bool,
        typer.Option("--static-masks", help="Masks that repeat every ten epochs, instead of new ones in every epoch."),
    ] = False,
    on_corrupt: Annotated[str, typer.Option(help="Damaged records: fail, or skip and log them.")] = "fail",
    vocab: Annotated[Path | None, typer.Option(help="vocab.txt for records whose folder has none.")] = None,
    strategy: Strategy = "auto",
    workers: Workers = "",
    index: Index = None,
    virtual_devices: VirtualDevices = None,
    tpu: Tpu = "",
    save_every: SaveEvery = "60s",
    on_nonfinite: OnNonfinite = "stop",
    seed: Seed = 0,
) -> None:
    """Pretrain a model on records, from random weights or from a pretrained model."""
    # This must come first: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import LEFT_TO_RIGHT, BertConfig
    from keras_bert_scratch.data.google.reader import open_records
    from keras_bert_scratch.data.pretraining.masking import MaskingRule
    from keras_bert_scratch.data.pretraining.rules import ExampleRules
    from keras_bert_scratch.training.options import RunOptions, TrainingOptions
    from keras_bert_scratch.training.pretraining import SecondPhase
    from keras_bert_scratch.training.pretraining import pretrain as pretrain_records

    if init and preset:
        raise UserError("`init`, `preset`: give only one of them, weights to continue from or a size")
    if init:
        check_not_given(ctx, ("dropout", "initializer_range"), "has no effect with `init`; leave it out")
    if second_length is None:
        check_not_given(ctx, ("second_fraction", "second_batch"), "has no effect without `second_length`; leave it out")
    data = open_records(records, on_corrupt=on_corrupt, vocab=vocab)
    masks = MaskingRule(masked_fraction, masking, max_predictions, replacements_of(replacements))
    pairs = pairs or ("next" if objective == "masked" else "none")
    objective = LEFT_TO_RIGHT if objective == "causal" else objective
    rules = ExampleRules(pairs, short_seq_prob, masks, static_masks, packing, objective)
    seconds = seconds_of(budget, "budget") if budget else None
    run = pretrain_records(
        data,
        init
        or BertConfig.preset(
            preset or "bert-base",
            vocab_size=data.vocab_size,
            hidden_dropout=dropout,
            attention_dropout=dropout,
            initializer_range=initializer_range,
        ),
        out,
        TrainingOptions(steps, seconds, learning_rate, warmup, bias_correction, optimizer),
        batch,
        length,
        seed,
        open_records(held_out, data.tokenizer, on_corrupt) if held_out else None,
        rules,
        SecondPhase(second_length, second_fraction, second_batch) if second_length is not None else None,
        devices,
        evaluate_every,
        RunOptions(dtype, accumulate, remat, seconds_of(save_every, "save_every"), on_nonfinite),
    )
    print_run(run)
