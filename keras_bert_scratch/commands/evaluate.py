"""`keras-bert evaluate`: measure a finished run on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import LabelColumn, OnBadRow, PairColumn, TextColumn, UsedFor, header_names
from keras_bert_scratch.commands.task_options import TaskCommand, task_options
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of

COMMAND = TaskCommand
EXAMPLE = "keras-bert evaluate demo/sentiment --data demo/held_out.csv"


def evaluate(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a model.")],
    data: Annotated[Path, typer.Option(help="A labelled table for a fine-tuned run, records for a pretrained one.")],
    length: Annotated[int | None, typer.Option(help="Tokens per row of records; else as the run was trained.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows per batch of records; else as the run was trained.")] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: UsedFor = None,
) -> None:
    """Measure a fine-tuned run on labelled texts, or a pretrained one on records, as the run itself measured."""
    from keras_bert_scratch.commands.tables import print_results

    if not path_of(data).is_dir():
        from keras_bert_scratch.tasks.run import evaluate as evaluate_fine_tuned

        if length is not None or batch is not None:
            raise UserError("`length`, `batch`: are for records; a fine-tuned run is measured as it was trained")
        names = header_names(text_column, pair_column, label_column)
        results = evaluate_fine_tuned(run, data, names, on_bad_row, task, task_options(ctx))
    else:
        from keras_bert_scratch.training.pretraining import evaluate_pretrained

        if task is not None:
            raise UserError("`task`: is for labelled tables; records are for pretrained runs")
        results = evaluate_pretrained(run, data, length, batch)
    print_results(f"{path_of(run)} on {path_of(data)}", results)
