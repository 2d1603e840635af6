"""`keras-bert pretrain`: masked words and next sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    Batch,
    BiasCorrection,
    Index,
    Length,
    MaskedShare,
    Masking,
    MaxPredictions,
    Out,
    Pairs,
    Seed,
    ShortSeqProb,
    Strategy,
    Tpu,
    VirtualDevices,
    Workers,
    listed,
    seconds_of,
)

EXAMPLE = "keras-bert pretrain demo/records --preset bert-tiny --steps 50 --out my-run"


def pretrain(
    records: Annotated[Path, typer.Argument(help="Folder of records: ours, or of Google's format from anywhere.")],
    out: Out,
    preset: Annotated[
        str, typer.Option(help="bert-tiny, -mini, -small, -medium, -base, -large or bert-l6-h768.")
    ] = "bert-base",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps.")] = None,
    budget: Annotated[str | None, typer.Option(help="Wall-clock time instead of steps, like 30m.")] = None,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: Annotated[float, typer.Option(help="The highest rate.")] = 1e-4,
    warmup: Annotated[float, typer.Option(help="Share of the training in which the rate rises.")] = 0.01,
    optimizer: Annotated[str, typer.Option(help="adamw, or lamb for very large batches.")] = "adamw",
    bias_correction: BiasCorrection = False,
    dropout: Annotated[float, typer.Option(help="Share dropped of activations and attention.")] = 0.1,
    dtype: Annotated[str, typer.Option(help="Of the products: float32, bfloat16 or float16.")] = "float32",
    held_out: Annotated[
        Path | None, typer.Option("--eval", help="Records to measure on before, after and in between.")
    ] = None,
    evaluate_every: Annotated[
        int | None, typer.Option("--eval-every", help="Steps between; by default a tenth of all, or 1000 by the clock.")
    ] = None,
    second_length: Annotated[
        int | None, typer.Option(help="Tokens per row in a second leg, such as 512 after 128, as in the paper.")
    ] = None,
    second_share: Annotated[float, typer.Option(help="Share of the run that the second leg is.")] = 0.1,
    second_batch: Annotated[int | None, typer.Option(help="Rows per step in it; by default as before.")] = None,
    accumulate: Annotated[int, typer.Option(help="Parts to work through a batch in, to save memory.")] = 1,
    remat: Annotated[
        bool, typer.Option("--remat", help="Work blocks out again in the backward pass, to save memory.")
    ] = False,
    pairs: Pairs = "next",
    packing: Annotated[
        bool, typer.Option("--packing", help="Let several short examples share a row, kept apart by the attention.")
    ] = False,
    short_seq_prob: ShortSeqProb = 0.1,
    masking: Masking = "tokens",
    masked_share: MaskedShare = 0.15,
    max_predictions: MaxPredictions = None,
    static_masks: Annotated[
        bool, typer.Option("--static-masks", help="The same masks for an example in every epoch.")
    ] = False,
    on_corrupt: Annotated[str, typer.Option(help="Of damaged records: fail, or skip and log them.")] = "fail",
    vocab: Annotated[Path | None, typer.Option(help="vocab.txt of records that have none beside them.")] = None,
    strategy: Strategy = "auto",
    workers: Workers = "",
    index: Index = None,
    virtual_devices: VirtualDevices = None,
    tpu: Tpu = "",
    save_every: Annotated[str, typer.Option(help="Time between kept states, as 60s, 5m.")] = "60s",
    on_nonfinite: Annotated[
        str, typer.Option(help="Of a step whose gradient is not finite: stop the run, or skip and count it.")
    ] = "stop",
    seed: Seed = 0,
) -> None:
    """Pretrain a new model on records."""
    # First of all: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.data.google.reader import open_records
    from keras_bert_scratch.data.pretraining.masking import MaskingRule
    from keras_bert_scratch.data.pretraining.rules import ExampleRules
    from keras_bert_scratch.training.loop import Pace
    from keras_bert_scratch.training.pretraining import SecondLeg
    from keras_bert_scratch.training.pretraining import pretrain as pretrain_records

    data = open_records(records, on_corrupt=on_corrupt, vocab=vocab)
    masks = MaskingRule(masked_share, masking, max_predictions)
    rules = ExampleRules(pairs, short_seq_prob, masks, static_masks, packing)
    run = pretrain_records(
        data,
        BertConfig.preset(preset, vocab_size=data.vocab_size, hidden_dropout=dropout, attention_dropout=dropout),
        out,
        Pace(steps, seconds_of(budget) if budget else None, learning_rate, warmup, bias_correction, optimizer),
        batch,
        length,
        dtype,
        seed,
        open_records(held_out, data.tokenizer, on_corrupt) if held_out else None,
        rules,
        SecondLeg(second_length, second_share, second_batch) if second_length else None,
        devices,
        accumulate,
        remat,
        evaluate_every,
        seconds_of(save_every),
        on_nonfinite,
    )
    print_run(run)
