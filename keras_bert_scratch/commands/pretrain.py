"""`keras-bert pretrain`: masked words and next sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import Batch, BiasCorrection, Length, Out, Seed, seconds_of

EXAMPLE = "keras-bert pretrain demo/records --preset bert-tiny --steps 50 --out my-run"


def pretrain(
    records: Annotated[Path, typer.Argument(help="Folder made by 'keras-bert tfrecords'.")],
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
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16.")] = "float32",
    held_out: Annotated[Path | None, typer.Option("--eval", help="Records to measure on before and after.")] = None,
    seed: Seed = 0,
) -> None:
    """Pretrain a new model on records."""
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.data.pretraining_input import PretrainingRecords
    from keras_bert_scratch.training.loop import Pace
    from keras_bert_scratch.training.pretraining import pretrain as pretrain_records

    data = PretrainingRecords(records)
    run = pretrain_records(
        data,
        BertConfig.preset(
            preset, vocab_size=data.manifest.vocab_size, hidden_dropout=dropout, attention_dropout=dropout
        ),
        out,
        Pace(steps, seconds_of(budget) if budget else None, learning_rate, warmup, bias_correction, optimizer),
        batch,
        length,
        dtype,
        seed,
        PretrainingRecords(held_out, data.tokenizer) if held_out else None,
    )
    print_run(run)
