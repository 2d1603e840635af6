"""`keras-bert finetune`: teach a pretrained model a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import (
    Batch,
    BiasCorrection,
    Index,
    Length,
    Out,
    Seed,
    Strategy,
    Tpu,
    VirtualDevices,
    Workers,
    listed,
)
from keras_bert_scratch.errors import UserError

EXAMPLE = "keras-bert finetune --init demo/pretrained --train demo/train.csv --out tuned"


def finetune(
    train: Annotated[Path, typer.Option(help="Table with the columns text and label: .csv by commas, else by tabs.")],
    out: Out,
    init: Annotated[Path | None, typer.Option(help="Pretrained run or model folder to start from.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="Instead of --init: start from random weights of this size.")
    ] = None,
    vocab: Annotated[Path | None, typer.Option(help="With --preset: the vocabulary.")] = None,
    dropout: Annotated[
        float, typer.Option(help="With --preset: share dropped; a pretrained model keeps its own.")
    ] = 0.1,
    dev: Annotated[Path | None, typer.Option(help="Table to measure on afterwards.")] = None,
    task: Annotated[str, typer.Option(help="Only classification so far.")] = "classification",
    epochs: Annotated[float, typer.Option(help="How often to go through the training table.")] = 3.0,
    batch: Batch = 32,
    length: Length = 128,
    learning_rate: Annotated[float, typer.Option(help="The highest rate.")] = 5e-5,
    bias_correction: BiasCorrection = False,
    layer_decay: Annotated[
        float, typer.Option(help="Factor of the rate per layer downwards; below 1, lower layers change less.")
    ] = 1.0,
    strategy: Strategy = "auto",
    workers: Workers = "",
    index: Index = None,
    virtual_devices: VirtualDevices = None,
    tpu: Tpu = "",
    seed: Seed = 0,
) -> None:
    """Fine-tune a model on labelled texts."""
    # First of all: TensorFlow fixes its devices with its first operation.
    from keras_bert_scratch.training.strategies import make_strategy

    devices = make_strategy(strategy, listed(workers), index, virtual_devices, tpu)
    from keras_bert_scratch.commands.tables import print_run
    from keras_bert_scratch.config import BertConfig
    from keras_bert_scratch.data.labelled_text import LabelledText
    from keras_bert_scratch.tasks import classification
    from keras_bert_scratch.text.tokenizer import BertTokenizer

    if task != classification.TASK:
        raise UserError(f"--task: {task!r} is unknown; only {classification.TASK} is there so far")
    if init and not preset and not vocab:
        tokenizer = BertTokenizer.load(init)
        start: Path | BertConfig = init
    elif preset and vocab and not init:
        tokenizer = BertTokenizer(vocab)
        start = BertConfig.preset(
            preset, vocab_size=len(tokenizer.vocabulary), hidden_dropout=dropout, attention_dropout=dropout
        )
    else:
        raise UserError("--init: give it alone, or --preset with --vocab to start from random weights")
    train_data = LabelledText.read(train)
    dev_data = LabelledText.read(dev, train_data.label_names) if dev else None
    run = classification.finetune(
        start,
        tokenizer,
        train_data,
        dev_data,
        out,
        epochs,
        batch,
        length,
        learning_rate,
        bias_correction=bias_correction,
        layer_decay=layer_decay,
        seed=seed,
        strategy=devices,
    )
    print_run(run)
