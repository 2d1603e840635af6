"""`keras-bert evaluate`: measure a finished run on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_bert_scratch.commands.arguments import LabelColumn, OnBadRow, PairColumn, TextColumn, UsedFor, header_names
from keras_bert_scratch.errors import UserError
from keras_bert_scratch.filesystem import path_of

EXAMPLE = "keras-bert evaluate demo/sentiment --data demo/held_out.csv"


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or of a model.")],
    data: Annotated[
        Path, typer.Option(help="A table that the task measures on, or a folder of records for a pretrained run.")
    ],
    length: Annotated[int | None, typer.Option(help="Tokens per row of records; else as the run was trained.")] = None,
    batch: Annotated[int | None, typer.Option(help="Rows per batch of records; else as the run was trained.")] = None,
    text_column: TextColumn = None,
    pair_column: PairColumn = None,
    label_column: LabelColumn = None,
    on_bad_row: OnBadRow = "fail",
    task: UsedFor = None,
) -> None:
    """Measure a run on a table of its task, or a pretrained one on records, as the run itself measured."""
    from keras_bert_scratch.commands.tables import print_results

    if not path_of(data).is_dir():
        from keras_bert_scratch.tasks.run import evaluate as evaluate_fine_tuned

        if length is not None or batch is not None:
            raise UserError("`length`, `batch`: are for records; a fine-tuned run is measured as it was trained")
        results = evaluate_fine_tuned(run, data, header_names(text_column, pair_column, label_column), on_bad_row, task)
    else:
        from keras_bert_scratch.training.pretraining import evaluate_pretrained

        if task is not None:
            raise UserError("`task`: is for tables; records are for pretrained runs")
        results = evaluate_pretrained(run, data, length, batch)
    print_results(f"{path_of(run)} on {path_of(data)}", results)
